"""The settings of the documents are those of the class, with its defaults and words."""

from pathlib import Path

from pydantic import SecretStr

from duomi_pipeline.settings import Settings

OPERATIONS = Path(__file__).parents[1] / "docs" / "operations.md"
UNSET = {None: "–", "": "empty", (): "empty", True: "true", False: "false"}


def shown(default: object) -> str:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    # 0 and 0.0 are equal to False.
    if default in UNSET and (default is None or isinstance(default, str | tuple | bool)):
        return UNSET[default]
    return (
        f"{default:g}" if isinstance(default, float) else f"{default}" if isinstance(default, int) else f"`{default}`"
    )


def table() -> str:
    """The settings as they stand in the documents, in the order of the class."""
    own = [name for name in Settings.__annotations__ if name in Settings.model_fields]
    inherited = [name for name in Settings.model_fields if name not in own]
    at = own.index("models_file")
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name in [*own[:at], *inherited, *own[at:]]:
        field = Settings.model_fields[name]
        if name != "home":
            lines.append(f"| DUOMI_{name.upper()} | {shown(field.default)} | {field.description} |")
    return "\n".join(lines)


def test_the_documents_have_the_table() -> None:
    assert table() in OPERATIONS.read_text(encoding="utf-8"), table()


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if name != "home" and not field.description] == []
