// The picked pictures as one file. A page from disk may not read the files beside it: there the person gives it their folder.
"use strict";

(() => {
  const { byId } = duomi;

  async function fetched(file) {
    const answer = await fetch(duomi.pictureAddress(file));
    if (!answer.ok) throw new Error(`${file}: HTTP ${answer.status}`);
    return answer.blob();
  }

  /** Zip the picks, each file got from `picture(name)`, and hand it over as a download. */
  async function save(picture) {
    const picks = await duomi.marks.picked();
    let done = 0;
    async function* entries() {
      for (const { file, at } of picks) {
        yield { name: file, blob: await picture(file), at };
        done += 1;
        duomi.say(`${done} of ${picks.length} pictures`);
      }
    }
    try {
      duomi.download(await duomi.zip(entries()), "duomi-picks.zip");
      duomi.say(`duomi-picks.zip with ${duomi.count(picks.length, "picture")} is in your downloads`);
    } catch (error) {
      duomi.say(`No archive: ${error.message}`);
    }
  }

  duomi.saveArchive = () => {
    if (duomi.marks.rows("pick").length === 0) duomi.say("Nothing is picked yet: p picks a card.");
    else if (location.protocol === "file:") byId("give-folder").showModal();
    else save(fetched);
  };

  duomi.takeFolder = (chosen) => {
    const files = new Map([...chosen].map((file) => [file.name, file]));
    byId("give-folder").close();
    save(async (name) => {
      if (!files.has(name)) throw new Error(`${name} is not in that folder`);
      return files.get(name);
    });
  };
})();
