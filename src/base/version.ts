/** The package's version. A bundle has no package.json to read it from. A test compares the two. */
export const PACKAGE_VERSION = '0.1.0';
