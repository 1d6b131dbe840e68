//! Sends one HTTP/1.1 request and reads its answer (RFC 9112), as far as is needed to know whether the client
//! is let in, and whether the connection can be used again.

use std::io::{self, BufRead, BufReader, Read, Write};

use super::request::{Method, Request};

/// The state of a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It can be used for another request.
    Open,
    /// The server closes it.
    Closed,
    /// The answer was not read to its end, so that nobody can say.
    Unread,
}

/// The extent to which an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The head alone: the connection is not used after that.
    Head,
    /// As far as is needed to recognize the answer.
    Beginning,
    /// To its end, however long it is, so that the connection can be asked again.
    Whole,
}

/// As much of an answer as is needed to recognize it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The status code.
    pub status: u16,
    /// The target of a redirect (Location), where that was read.
    pub location: Option<Vec<u8>>,
    /// The first octets of the body.
    pub body: Vec<u8>,
}

/// The User-Agent of every request.
pub const USER_AGENT: &str = concat!("pki-check/", env!("CARGO_PKG_VERSION"));
/// The octets of a body that are kept.
pub const SAMPLE: usize = 4096;
/// The longest head of an answer.
const HEAD: u64 = 64 << 10;
/// The longest body that is read so that the connection can be asked again.
const BODY: u64 = 16 << 20;
/// The most fields of an answer.
const FIELDS: usize = 128;

/// Sends a request, and reads the answer to this extent.
///
/// # Errors
/// Where the connection fails, or what comes is no HTTP.
pub fn ask<S: Read + Write>(stream: &mut S, request: &Request, extent: Extent) -> io::Result<(Sample, Kept)> {
    send(stream, request)?;
    answer(&mut BufReader::new(stream), request.method, extent)
}

fn send(stream: &mut impl Write, request: &Request) -> io::Result<()> {
    let fields = request.fields().into_iter();
    let fields: String = fields
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let request = format!(
        "{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\n{fields}\r\n",
        request.method.name(),
        request.path,
        request.authority,
    );
    stream.write_all(request.as_bytes())?;
    stream.flush()
}

pub(super) fn no_http() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP")
}

fn answer(source: &mut impl BufRead, method: Method, extent: Extent) -> io::Result<(Sample, Kept)> {
    let text = last_head(source)?;
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let (status, response) = parsed(&text, &mut fields)?;
    let mut body = Body {
        beginning: Vec::new(),
        is_sample: extent == Extent::Beginning,
    };
    let is_last = !keeps_alive(&response);
    let kept = match extent {
        Extent::Head => Kept::Closed,
        Extent::Whole if is_last => Kept::Closed,
        // No length says anything here (RFC 9112 §6.3).
        _ if method == Method::Head || matches!(status, 204 | 304) => Kept::Open,
        // What breaks off is a short body.
        Extent::Beginning | Extent::Whole => body.read(source, &response).unwrap_or(Kept::Unread),
    };
    let sample = Sample {
        status,
        location: field(&response, "location").map(<[u8]>::to_vec),
        body: body.beginning,
    };
    Ok((sample, if is_last { Kept::Closed } else { kept }))
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

/// A body that is read, and of which the beginning is kept.
struct Body {
    beginning: Vec<u8>,
    /// Whether no more is wanted than that.
    is_sample: bool,
}

impl Write for Body {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let room = SAMPLE - self.beginning.len();
        let kept = octets.len().min(room);
        self.beginning.extend_from_slice(&octets[..kept]);
        match (self.is_sample, kept) {
            (true, 0) => Err(io::ErrorKind::StorageFull.into()),
            (true, _) => Ok(kept),
            (false, _) => Ok(octets.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Body {
    /// RFC 9112 §6.3.
    fn read(&mut self, source: &mut impl BufRead, response: &httparse::Response<'_, '_>) -> io::Result<Kept> {
        let has = |name: &str| {
            let mut names = response.headers.iter().map(|field| field.name);
            names.any(|field| field.eq_ignore_ascii_case(name))
        };
        if has("transfer-encoding") {
            let coding = field(response, "transfer-encoding").map(<[u8]>::to_ascii_lowercase);
            let is_chunked = coding.is_some_and(|coding| coding.ends_with(b"chunked"));
            return Ok(if is_chunked && self.read_chunks(source)? {
                Kept::Open
            } else {
                Kept::Unread
            });
        }
        if !has("content-length") {
            // It ends with the connection.
            if self.is_sample {
                io::copy(&mut source.by_ref().take(BODY), self)?;
            }
            return Ok(Kept::Closed);
        }
        let length = field(response, "content-length").and_then(|value| std::str::from_utf8(value).ok());
        match length.and_then(|value| value.trim().parse::<u64>().ok()) {
            Some(length) if length <= BODY || self.is_sample => {
                let read = io::copy(&mut source.by_ref().take(length), self)?;
                Ok(if read == length { Kept::Open } else { Kept::Closed })
            }
            Some(_) | None => Ok(Kept::Unread),
        }
    }

    /// RFC 9112 §7.1.
    fn read_chunks(&mut self, source: &mut impl BufRead) -> io::Result<bool> {
        let mut left = BODY;
        loop {
            let mut line = Vec::new();
            source.by_ref().take(1024).read_until(b'\n', &mut line)?;
            let Ok(httparse::Status::Complete((_, length))) = httparse::parse_chunk_size(&line) else {
                return Ok(false);
            };
            if length > left && !self.is_sample {
                return Ok(false);
            }
            left = left.saturating_sub(length);
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
            let body = io::copy(&mut source.by_ref().take(length), self)?;
            let mut end = [0; 2];
            source.read_exact(&mut end)?;
            if body != length || end != *b"\r\n" {
                return Ok(false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn read(text: &str) -> io::Result<(Sample, Kept)> {
        answer(&mut BufReader::new(text.as_bytes()), Method::Get, Extent::Whole)
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
            let (sample, is) = read(text).unwrap();
            assert_eq!((sample.status, is), (status, kept), "{text}");
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
            let (sample, _) = answer(source, Method::Get, Extent::Beginning).unwrap();
            assert_eq!(sample.location.as_deref(), location.map(str::as_bytes));
            assert_eq!(String::from_utf8(sample.body).unwrap(), body);
        }
    }

    #[test]
    fn whoever_wants_the_beginning_alone_can_ask_again_where_that_was_all() {
        let [exact, longer] = [SAMPLE, SAMPLE + 1].map(|length| {
            let body = "x".repeat(length);
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
        });
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
        for (method, text, kept) in [
            (Method::Get, exact.as_str(), Kept::Open),
            (Method::Get, &longer, Kept::Unread),
            // The length is that of what GET would get: waiting for it is waiting for ever.
            (Method::Head, head, Kept::Open),
            (Method::Get, head, Kept::Closed),
            (Method::Get, "HTTP/1.1 204 No Content\r\n\r\n", Kept::Open),
        ] {
            let source = &mut BufReader::new(text.as_bytes());
            let (_, is) = answer(source, method, Extent::Beginning).unwrap();
            assert_eq!(is, kept, "{method:?} {text:.60}");
        }
    }

    #[test]
    fn a_request_says_its_method_its_host_and_its_path() {
        let said = |method| {
            let request = Request {
                method,
                authority: "API.acme.example.".into(),
                path: "/v1".into(),
                claims: false,
            };
            let mut said = Vec::new();
            send(&mut said, &request).unwrap();
            String::from_utf8(said).unwrap()
        };
        for (method, line, field) in [
            (Method::Get, "GET /v1 HTTP/1.1\r\nHost: API.acme.example.\r\n", ""),
            (
                Method::Options,
                "OPTIONS /v1 HTTP",
                "\r\norigin: https://API.acme.example.\r\n",
            ),
            (Method::Post, "POST /v1 HTTP", "\r\ncontent-length: 0\r\n"),
        ] {
            let said = said(method);
            assert!(said.starts_with(line) && said.contains(field), "{said}");
            assert_eq!(said.matches("\r\n\r\n").count(), 1, "{said}");
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
}
