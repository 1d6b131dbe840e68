//! One request and its answer (RFC 9112): enough to know whether somebody is let in, and whether the
//! connection can be used again.

use std::io::{self, BufRead, BufReader, Read, Write};

use super::url::Url;

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Whether the connection can be asked again.
    pub kept: Kept,
}

/// What becomes of a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It can be asked again.
    Open,
    /// The server closes it.
    Closed,
    /// The answer was not read to its end, so that nobody can say.
    Unread,
}

/// As much of an answer as is needed to know it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The status code.
    pub status: u16,
    /// Where a redirect leads, where that was read.
    pub location: Option<Vec<u8>>,
    /// The first octets of the body.
    pub body: Vec<u8>,
}

/// Who asks.
pub const USER_AGENT: &str = concat!("pki-check/", env!("CARGO_PKG_VERSION"));
/// How much of a body is kept.
pub const SAMPLE: usize = 4096;
/// The longest head of an answer.
const HEAD: u64 = 64 << 10;
/// The longest body that is read so that the connection can be asked again.
const BODY: u64 = 16 << 20;
/// The most fields of an answer.
const FIELDS: usize = 128;

/// Asks for what the URL names, and reads the answer as far as is needed.
///
/// # Errors
/// Where the connection fails, or what comes is no HTTP.
pub fn get<S: Read + Write>(stream: &mut S, url: &Url) -> io::Result<Reply> {
    send(stream, url)?;
    reply(&mut BufReader::new(stream), Rest::Read)
}

/// As [`get`], where the connection is left after that: the status alone is waited for.
///
/// # Errors
/// As [`get`].
pub fn status<S: Read + Write>(stream: &mut S, url: &Url) -> io::Result<u16> {
    send(stream, url)?;
    reply(&mut BufReader::new(stream), Rest::Left).map(|reply| reply.status)
}

/// As [`status`], with the beginning of what was answered.
///
/// # Errors
/// As [`get`].
pub fn sample<S: Read + Write>(stream: &mut S, url: &Url) -> io::Result<Sample> {
    send(stream, url)?;
    let source = &mut BufReader::new(stream);
    let text = last_head(source)?;
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let (status, response) = parsed(&text, &mut fields)?;
    Ok(Sample {
        status,
        location: field(&response, "location").map(<[u8]>::to_vec),
        body: beginning(source, &response),
    })
}

/// The first octets of a body. Where it breaks off, or comes too slowly, they are fewer.
fn beginning(source: &mut impl BufRead, response: &httparse::Response<'_, '_>) -> Vec<u8> {
    let mut body = Vec::new();
    let most = SAMPLE as u64;
    if field(response, "transfer-encoding").is_some() {
        while body.len() < SAMPLE {
            let mut line = Vec::new();
            let read = source.by_ref().take(1024).read_until(b'\n', &mut line);
            let Ok(httparse::Status::Complete((_, length @ 1..))) = httparse::parse_chunk_size(&line) else {
                break;
            };
            let left = (SAMPLE - body.len()) as u64;
            let taken = source.by_ref().take(length.min(left)).read_to_end(&mut body);
            if read.is_err() || taken.is_err() || source.read_exact(&mut [0; 2]).is_err() {
                break;
            }
        }
        return body;
    }
    let length = field(response, "content-length").and_then(|value| std::str::from_utf8(value).ok());
    let length = length.and_then(|value| value.trim().parse().ok()).unwrap_or(most);
    let _ = source.by_ref().take(most.min(length)).read_to_end(&mut body);
    body
}

fn send(stream: &mut impl Write, url: &Url) -> io::Result<()> {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\n\r\n",
        url.path(),
        url.authority(),
    );
    stream.write_all(request.as_bytes())?;
    stream.flush()
}

pub(super) fn no_http() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP")
}

/// What becomes of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// It is read, so that the connection can be asked again.
    Read,
    /// It is left, and the connection with it.
    Left,
}

fn reply(source: &mut impl BufRead, rest: Rest) -> io::Result<Reply> {
    let text = last_head(source)?;
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let (status, response) = parsed(&text, &mut fields)?;
    let kept = if rest == Rest::Read && keeps_alive(&response) {
        passed_over(source, &response).unwrap_or(Kept::Unread)
    } else {
        Kept::Closed
    };
    Ok(Reply { status, kept })
}

/// The head of the answer that counts: before it there may be interim ones (RFC 9110 §15.2).
fn last_head(source: &mut impl BufRead) -> io::Result<Vec<u8>> {
    for _ in 0..8 {
        let text = head(source)?;
        let (status, _) = parsed(&text, &mut [httparse::EMPTY_HEADER; FIELDS])?;
        if status == 101 || !(100..200).contains(&status) {
            return Ok(text);
        }
    }
    Err(no_http())
}

fn parsed<'h, 't>(
    text: &'t [u8],
    fields: &'h mut [httparse::Header<'t>],
) -> io::Result<(u16, httparse::Response<'h, 't>)> {
    let mut response = httparse::Response::new(fields);
    let is_whole = response.parse(text).is_ok_and(|parsed| parsed.is_complete());
    match (response.code, is_whole) {
        (Some(status), true) => Ok((status, response)),
        (Some(_) | None, _) => Err(no_http()),
    }
}

/// The octets up to the empty line, that included.
fn head(source: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut bounded = source.by_ref().take(HEAD);
    loop {
        let line = bounded.read_until(b'\n', &mut text)?;
        let first = text.len() == line;
        if first && line > 0 && !text.starts_with(b"HTTP/") {
            return Err(no_http());
        }
        if line == 0 || !text.ends_with(b"\n") {
            let cut = if bounded.limit() == 0 {
                no_http()
            } else {
                io::ErrorKind::UnexpectedEof.into()
            };
            return Err(cut);
        }
        if text.ends_with(b"\r\n\r\n") || text.ends_with(b"\n\n") {
            return Ok(text);
        }
    }
}

fn field<'a>(response: &'a httparse::Response<'_, '_>, name: &str) -> Option<&'a [u8]> {
    let mut named = response
        .headers
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(name));
    // Two lengths, or two codings, are no answer to build on.
    match (named.next(), named.next()) {
        (Some(field), None) => Some(field.value),
        (None, _) | (Some(_), Some(_)) => None,
    }
}

fn keeps_alive(response: &httparse::Response<'_, '_>) -> bool {
    let close = response.headers.iter().any(|field| {
        field.name.eq_ignore_ascii_case("connection") && field.value.to_ascii_lowercase().ends_with(b"close")
    });
    response.version == Some(1) && !close && response.code != Some(101)
}

/// Reads the body (RFC 9112 §6.3).
fn passed_over(source: &mut impl BufRead, response: &httparse::Response<'_, '_>) -> io::Result<Kept> {
    if matches!(response.code, Some(204 | 304)) {
        return Ok(Kept::Open);
    }
    let has = |name: &str| {
        let mut names = response.headers.iter().map(|field| field.name);
        names.any(|field| field.eq_ignore_ascii_case(name))
    };
    if has("transfer-encoding") {
        let chunked =
            field(response, "transfer-encoding").is_some_and(|c| c.eq_ignore_ascii_case(b"chunked"));
        return Ok(if chunked && chunks(source)? {
            Kept::Open
        } else {
            Kept::Unread
        });
    }
    if !has("content-length") {
        // It ends with the connection.
        return Ok(Kept::Closed);
    }
    let length = field(response, "content-length").and_then(|value| std::str::from_utf8(value).ok());
    match length.and_then(|value| value.trim().parse::<u64>().ok()) {
        Some(length) if length <= BODY => {
            let read = io::copy(&mut source.by_ref().take(length), &mut io::sink())?;
            Ok(if read == length { Kept::Open } else { Kept::Closed })
        }
        Some(_) | None => Ok(Kept::Unread),
    }
}

/// RFC 9112 §7.1.
fn chunks(source: &mut impl BufRead) -> io::Result<bool> {
    let mut left = BODY;
    loop {
        let mut line = Vec::new();
        source.by_ref().take(1024).read_until(b'\n', &mut line)?;
        let Ok(httparse::Status::Complete((_, length))) = httparse::parse_chunk_size(&line) else {
            return Ok(false);
        };
        if length > left {
            return Ok(false);
        }
        left -= length;
        if length == 0 {
            // Trailer fields, up to an empty line.
            loop {
                let mut line = Vec::new();
                let read = source.by_ref().take(1024).read_until(b'\n', &mut line)?;
                if read == 0 || left == 0 {
                    return Ok(false);
                }
                if line == b"\r\n" || line == b"\n" {
                    return Ok(true);
                }
                left = left.saturating_sub(read as u64);
            }
        }
        let body = io::copy(&mut source.by_ref().take(length), &mut io::sink())?;
        let mut end = [0; 2];
        source.read_exact(&mut end)?;
        if body != length || end != *b"\r\n" {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> io::Result<Reply> {
        reply(&mut BufReader::new(text.as_bytes()), Rest::Read)
    }

    #[test]
    fn an_answer_with_an_end_keeps_the_connection() {
        for (text, status, kept) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, Kept::Open),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                200,
                Kept::Open,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
                200,
                Kept::Open,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, Kept::Open),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
                403,
                Kept::Open,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
                200,
                Kept::Closed,
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
                200,
                Kept::Closed,
            ),
            ("HTTP/1.1 200 OK\r\n\r\nabc", 200, Kept::Closed),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na", 200, Kept::Closed),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
                200,
                Kept::Unread,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\nabc",
                200,
                Kept::Unread,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                200,
                Kept::Unread,
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
                302,
                Kept::Open,
            ),
        ] {
            assert_eq!(read(text).unwrap(), Reply { status, kept }, "{text}");
        }
    }

    #[test]
    fn an_answer_is_known_again_by_its_beginning() {
        let long = "x".repeat(9000);
        for (text, location, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", None, "abc"),
            (
                "HTTP/1.1 302 Found\r\nLocation: /in\r\nContent-Length: 0\r\n\r\n",
                Some("/in"),
                "",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
                None,
                "abcde",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
                None,
                "ab",
            ),
            (&format!("HTTP/1.1 200 OK\r\n\r\n{long}"), None, &long[..SAMPLE]),
        ] {
            let source = &mut BufReader::new(text.as_bytes());
            let text = last_head(source).unwrap();
            let mut fields = [httparse::EMPTY_HEADER; FIELDS];
            let (_, response) = parsed(&text, &mut fields).unwrap();
            assert_eq!(field(&response, "location"), location.map(str::as_bytes));
            assert_eq!(String::from_utf8(beginning(source, &response)).unwrap(), body);
        }
    }

    #[test]
    fn what_is_no_http_is_said_to_be_none() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(70_000));
        for text in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "\r\n\r\n",
            &long,
        ] {
            assert_eq!(
                read(text).unwrap_err().kind(),
                io::ErrorKind::InvalidData,
                "{text:.60}"
            );
        }
        for text in ["", "HTTP/1.1 200 OK\r\nX: y\r\n"] {
            assert_eq!(
                read(text).unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof,
                "{text}"
            );
        }
        assert!(read(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(20)).is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = reply(&mut BufReader::new(&octets[..]), Rest::Read);
            let text = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &octets[..]].concat();
            let _ = reply(&mut BufReader::new(&text[..]), Rest::Read);
            let source = &mut BufReader::new(&text[..]);
            if let Ok(head) = last_head(source) {
                let mut fields = [httparse::EMPTY_HEADER; FIELDS];
                let _ = parsed(&head, &mut fields).map(|(_, response)| beginning(source, &response));
            }
        }
    }
}
