import { expect, test } from "vitest";
import { type ChunkScored, EngineError, type ScoreEvent } from "../../src/engine.ts";
import { uninterrupted } from "../../src/resume.ts";

const scored = (chunk: number, chunks = 4): ScoreEvent => {
  const value: ChunkScored = { chunk, chunks, tokens: [], bits: 1, bytes: 1, seconds: 0 };
  return { kind: "scored", value };
};
const learned = (chunk: number): ScoreEvent => ({ kind: "learned", value: { chunk, steps: 1, seconds: 0 } });

/** A text of four chunks, learned from, on devices of which the first ones die after as many events as `deaths` says. */
function devices(deaths: number[]) {
  const restarts: [number, number][] = [];
  const plan = {
    attempts: 2,
    async *score() {
      let left = deaths.shift() ?? Infinity;
      for (const event of [scored(0), learned(0), scored(1), learned(1), scored(2), learned(2), scored(3)]) {
        if (left === 0) throw new EngineError("device-lost", "gone");
        left -= 1;
        yield event;
      }
    },
    restart: async (attempt: number, committed: number) => void restarts.push([attempt, committed]),
  };
  return { plan, restarts };
}

async function collect(events: AsyncIterable<ScoreEvent>): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of events) seen.push(`${event.kind} ${event.value.chunk}`);
  return seen;
}

const WHOLE = ["scored 0", "learned 0", "scored 1", "learned 1", "scored 2", "learned 2", "scored 3"];

test("without_a_loss_every_event_comes_once", async () => {
  const { plan, restarts } = devices([]);
  expect(await collect(uninterrupted(plan))).toEqual(WHOLE);
  expect(restarts).toEqual([]);
});

test("a_loss_at_any_point_changes_nothing_that_is_seen", async () => {
  for (let death = 0; death < WHOLE.length; death += 1) {
    const { plan, restarts } = devices([death]);
    expect(await collect(uninterrupted(plan)), `lost after ${death} events`).toEqual(WHOLE);
    expect(restarts).toEqual([[1, Math.ceil(death / 2)]]);
  }
});

test("two_losses_are_survived_and_a_third_is_reported", async () => {
  expect(await collect(uninterrupted(devices([3, 1]).plan))).toEqual(WHOLE);
  await expect(collect(uninterrupted(devices([3, 1, 0]).plan))).rejects.toMatchObject({ code: "device-lost" });
});

test("another_error_is_not_retried", async () => {
  const plan = {
    attempts: 2,
    async *score(): AsyncGenerator<ScoreEvent> {
      throw new EngineError("out-of-memory", "full");
    },
    restart: async () => expect.unreachable("restarted"),
  };
  await expect(collect(uninterrupted(plan))).rejects.toMatchObject({ code: "out-of-memory" });
});
