/**
 * The dictionary both ends of SPDY/3 prime their header compression with.
 * Source: draft-mbelshe-httpbis-spdy-00, section 2.6.10.1. Header words are length-prefixed in it, the
 * rest is running text.
 */

const words =
  "options head post put delete trace accept accept-charset accept-encoding accept-language " +
  "accept-ranges age allow authorization cache-control connection content-base content-encoding " +
  "content-language content-length content-location content-md5 content-range content-type date " +
  "etag expect expires from host if-match if-modified-since if-none-match if-range " +
  "if-unmodified-since last-modified location max-forwards pragma proxy-authenticate " +
  "proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade " +
  "user-agent vary via warning www-authenticate method get";

// Apart from the others because one of them has a space in it.
const moreWords = [
  "status",
  "200 OK",
  "version",
  "HTTP/1.1",
  "url",
  "public",
  "set-cookie",
  "keep-alive",
  "origin",
];

const runningText =
  "100101201202205206300302303304305306307402405406407408409410411412413414415416" +
  "417502504505203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request" +
  "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service " +
  "UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, " +
  "Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml," +
  "text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1," +
  "utf-,*,enq=0.";

function lengthPrefixed(word: string): Buffer {
  const bytes = Buffer.alloc(4 + word.length);
  bytes.writeUInt32BE(word.length);
  bytes.write(word, 4, "latin1");
  return bytes;
}

export const headerDictionary = Buffer.concat([
  ...[...words.split(" "), ...moreWords].map(lengthPrefixed),
  Buffer.from(runningText, "latin1"),
]);

/** Adler-32 of the dictionary: the DICTID a zlib stream made with it must carry (RFC 1950). */
export const headerDictionaryId = 0xe3c6a7c2;
