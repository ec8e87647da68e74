// State as one plain object: replaced, never mutated; views watch the part they show.

export interface Store<T> {
  get(): T;
  set(patch: Partial<T>): void;
  /** Calls `act` now and whenever what `select` picks has changed. */
  watch<S>(select: (state: T) => S, act: (selected: S) => void): void;
}

export function createStore<T extends object>(initial: T): Store<T> {
  let state = initial;
  const watchers = new Set<() => void>();
  return {
    get: () => state,
    set(patch) {
      state = { ...state, ...patch };
      for (const watcher of [...watchers]) watcher();
    },
    watch(select, act) {
      let last = select(state);
      watchers.add(() => {
        const next = select(state);
        if (Object.is(next, last)) return;
        last = next;
        act(next);
      });
      act(last);
    },
  };
}
