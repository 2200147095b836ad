import { commands, events } from "../bindings";
import type { Backend } from "./index";

export const backend: Backend = {
  async watch(on, live) {
    // Listens first: a change between the question and its answer is newer than the answer.
    let told = false;
    await events.live.listen(({ payload }) => live(payload));
    await events.view.listen(({ payload }) => {
      told = true;
      on(payload);
    });
    const first = await commands.view();
    if (!told) on(first);
  },
  send: async (intent) => void (await commands.intent(intent)),
  ask: commands.ask,
  start: async () => void (await commands.start()),
};
