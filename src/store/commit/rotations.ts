interface Rotation {
  readonly atBoundary: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** The rotations of the live log that have been asked for. */
export class Rotations {
  #waiting: Rotation[] = [];

  get areWanted(): boolean {
    return this.#waiting.length > 0;
  }

  /**
   * Resolves once `atBoundary` has been called: between two groups, when the closed logs hold
   * exactly what is visible.
   */
  add(atBoundary: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ atBoundary, resolve, reject });
    });
  }

  /** The live log holds nothing. A boundary that throws stays, to be rejected. */
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
