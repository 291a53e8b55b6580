const NEEDS_ESCAPE = /[&<>"'\p{Cc}\ufffe\uffff]/gu;

const NAMED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** Control characters become references, as in S3, so that no parser folds them. */
export function escapeXml(text: string): string {
  return text.replace(
    NEEDS_ESCAPE,
    (char) => NAMED[char] ?? `&#x${char.charCodeAt(0).toString(16)};`,
  );
}

/** An element with text. */
export function textElement(name: string, text: string | number | boolean): string {
  return `<${name}>${typeof text === 'string' ? escapeXml(text) : text}</${name}>`;
}

/** As `textElement`; empty without text. */
export function optionalElement(name: string, text: string | number | undefined): string {
  return text === undefined ? '' : textElement(name, text);
}

/** An element with XML content. */
export function element(name: string, content: string): string {
  return `<${name}>${content}</${name}>`;
}

export const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** A complete response in the S3 namespace. */
export function xmlDocument(root: string, content: string): string {
  return `${DECLARATION}<${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${content}</${root}>`;
}

/** Errors have no namespace. */
export function errorDocument(content: string): string {
  return `${DECLARATION}<Error>${content}</Error>`;
}

/** `2026-01-02T03:04:05.678Z` */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
