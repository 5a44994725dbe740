"""What Dagster's own documents lead to: one run over a range, threads inside, pictures to the IO manager at its end."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg

from duomi_pipeline_tests.bench.measure import Cost, measured
from duomi_pipeline_tests.bench.references import ask, open_session, thumbnail


def idiomatic_dagster(url: str, texts: list[str], concurrency: int, folder: Path) -> Cost:
    """One run over a range of partitions, threads inside, pictures to the IO manager at its end."""
    return _one_run(url, texts, concurrency, folder, decode=False)


def idiomatic_and_decode(url: str, texts: list[str], concurrency: int, folder: Path) -> Cost:
    """The same doing the work of R2 and ours: each picture checked, and small enough to be shown."""
    return _one_run(url, texts, concurrency, folder, decode=True)


def _one_run(url: str, texts: list[str], concurrency: int, folder: Path, *, decode: bool) -> Cost:
    folder.mkdir(parents=True)
    keys = [f"p{number}" for number in range(len(texts))]
    by_key = dict(zip(keys, texts, strict=True))
    session = open_session(concurrency)
    cost = Cost(pictures=len(texts))

    def picture_of(key: str) -> bytes:
        data = ask(session, url, by_key[key])
        if decode:
            thumbnail(data)
        return data

    class Pictures(dg.IOManager):
        """A file per partition."""

        def handle_output(self, context: dg.OutputContext, obj: dict[str, bytes]) -> None:
            for key, data in obj.items():
                (folder / f"{key}.png").write_bytes(data)

        def load_input(self, context: dg.InputContext) -> None:
            raise NotImplementedError

    @dg.asset(
        partitions_def=dg.StaticPartitionsDefinition(keys),
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_def=dg.IOManagerDefinition.hardcoded_io_manager(Pictures()),
    )
    def pictures(context: dg.AssetExecutionContext) -> dict[str, bytes]:
        with ThreadPoolExecutor(concurrency) as pool:
            return dict(zip(context.partition_keys, pool.map(picture_of, context.partition_keys), strict=True))

    with dg.DagsterInstance.local_temp(str(folder)) as instance, measured(cost):
        job = dg.Definitions(assets=[pictures]).resolve_implicit_global_asset_job_def()
        tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        assert job.execute_in_process(instance=instance, tags=tags).success
    return cost
