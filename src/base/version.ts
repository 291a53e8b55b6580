/**
 * The package's version, as in package.json, which a bundle does not contain. A test compares them.
 */
export const PACKAGE_VERSION = '0.1.0';
