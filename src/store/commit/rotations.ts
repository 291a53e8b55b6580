interface Rotation {
  readonly atBoundary: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** The requested rotations of the live log. */
export class Rotations {
  #waiting: Rotation[] = [];

  get areWanted(): boolean {
    return this.#waiting.length > 0;
  }

  /**
   * Requests a rotation. Resolves after `atBoundary` was called: between two groups, when the
   * closed logs hold exactly the visible batches.
   */
  add(atBoundary: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ atBoundary, resolve, reject });
    });
  }

  /**
   * Completes all rotations, when the live log is empty. If a boundary throws, its rotation
   * remains, to be rejected.
   */
  finish(): void {
    while (this.areWanted) {
      const rotation = this.#waiting[0]!;
      rotation.atBoundary();
      this.#waiting.shift();
      rotation.resolve();
    }
  }

  reject(error: unknown): void {
    for (const rotation of this.#waiting.splice(0)) rotation.reject(error);
  }
}
