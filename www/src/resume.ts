// Scoring that outlives its device. Invariant: every chunk is yielded once, in order, as scored and then as learned, however
// often the device is lost between.

import { EngineError, type ScoreEvent } from "./engine.ts";

export interface Resumption {
  /** Scores from the start; chunks before `committed` are already known and are dropped here. */
  score(committed: number): AsyncIterable<ScoreEvent>;
  /** Brings up a new device with the same model. `attempt` counts from 1. */
  restart(attempt: number, committed: number): Promise<void>;
  /** Lost devices that are worth another start. */
  attempts: number;
}

export async function* uninterrupted(plan: Resumption): AsyncGenerator<ScoreEvent> {
  let scored = 0;
  let learned = 0;
  for (let attempt = 1; ; attempt += 1) {
    try {
      for await (const event of plan.score(scored)) {
        if (event.kind === "scored") {
          if (event.value.chunk < scored) continue;
          scored = event.value.chunk + 1;
        } else {
          if (event.value.chunk < learned) continue;
          learned = event.value.chunk + 1;
        }
        yield event;
      }
      return;
    } catch (error) {
      if (!isLost(error) || attempt > plan.attempts) throw error;
      await plan.restart(attempt, scored);
    }
  }
}

/** Whether another device could go on. */
export function isLost(error: unknown): boolean {
  return error instanceof EngineError && error.code === "device-lost";
}
