//! Sends requests by HTTP/2 (RFC 9113), one after the other, and reads the beginnings of their answers. Only
//! as much of the protocol is implemented as that takes, and of the compressed header fields the status alone
//! is decoded.

use std::io::{self, Read, Write};

use super::http::{Kept, SAMPLE, Sample, USER_AGENT, no_http};
use super::request::{Method, Request};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// ACK of a SETTINGS or PING frame, END_STREAM of others.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;
/// The longest frame that may come as long as nobody has allowed longer ones (§4.2).
const LONGEST: usize = 16_384;
/// The most frames that are read before an answer must have begun and a sample of it be there.
const FRAMES: usize = 256;
/// What a client wants: no table of what was said before, so that every status is said in full, and no pushes
/// (§6.5.2).
const WANTED: [u8; 12] = [0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0];
/// The error of a stream that is no longer needed (§7).
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// Sends a request, on a connection on which `before` requests were sent already.
///
/// # Errors
/// Where the connection fails, the server ends the stream, or the answer is not HTTP/2.
pub fn ask<S: Read + Write>(stream: &mut S, request: &Request, before: u32) -> io::Result<(Sample, Kept)> {
    let block = fields(request);
    if block.len() > LONGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the URL is too long for HTTP/2",
        ));
    }
    let mut sent = Vec::new();
    if before == 0 {
        sent.extend(PREFACE);
        sent.extend(frame(SETTINGS, 0, 0, &WANTED));
    }
    // The streams of a client have odd numbers (§5.1.1).
    let own = before * 2 + 1;
    sent.extend(frame(HEADERS, END_STREAM | END_HEADERS, own, &block));
    stream.write_all(&sent)?;
    stream.flush()?;
    answer(stream, own)
}

fn answer<S: Read + Write>(stream: &mut S, own: u32) -> io::Result<(Sample, Kept)> {
    let mut block = Vec::new();
    let mut ends = false;
    let mut kept = Kept::Closed;
    let mut sample: Option<Sample> = None;
    for _ in 0..FRAMES {
        let frame = match (Frame::read(stream), &sample) {
            (Ok(frame), _) => frame,
            // The status is there: a body that breaks off is a short one.
            (Err(_), Some(_)) => break,
            (Err(error), None) => return Err(error),
        };
        // Where it does not care for what is said to it here, it has answered all the same.
        let mut say = |said: &[u8]| drop(stream.write_all(said).and_then(|()| stream.flush()));
        match (frame.kind, &mut sample) {
            (SETTINGS, _) if frame.flags & ACK == 0 => {
                say(&self::frame(SETTINGS, ACK, 0, &[]));
            }
            (PING, _) if frame.flags & ACK == 0 => say(&self::frame(PING, ACK, 0, &frame.payload)),
            (GOAWAY, None) if !frame.lets_go_on(own) => return Err(io::ErrorKind::ConnectionReset.into()),
            (RST_STREAM, None) if frame.stream == own => {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            (GOAWAY, Some(_)) => break,
            (RST_STREAM, Some(_)) if frame.stream == own => {
                kept = Kept::Open;
                break;
            }
            (HEADERS | CONTINUATION, None) if frame.stream == own => {
                ends |= frame.kind == HEADERS && frame.flags & END_STREAM != 0;
                block.extend(frame.content().ok_or_else(no_http)?);
                if block.len() > 4 * LONGEST {
                    return Err(no_http());
                }
                if frame.flags & END_HEADERS != 0 {
                    let status = status(&block).ok_or_else(no_http)?;
                    block.clear();
                    // An interim answer is followed by another (RFC 9110 §15.2).
                    if !(100..200).contains(&status) {
                        sample = Some(Sample {
                            status,
                            location: None,
                            body: Vec::new(),
                        });
                        if ends {
                            kept = Kept::Open;
                            break;
                        }
                    }
                }
            }
            (DATA, content) => {
                // What was read may be sent again, on whatever stream (§6.9).
                let read = u32::try_from(frame.payload.len()).unwrap_or(0);
                if read > 0 {
                    say(&self::frame(WINDOW_UPDATE, 0, 0, &read.to_be_bytes()));
                }
                let Some(sample) = content.as_mut().filter(|_| frame.stream == own) else {
                    continue;
                };
                sample.body.extend(frame.content().ok_or_else(no_http)?);
                let is_whole = frame.flags & END_STREAM != 0;
                if is_whole || sample.body.len() >= SAMPLE {
                    sample.body.truncate(SAMPLE);
                    if !is_whole {
                        say(&self::frame(RST_STREAM, 0, own, &CANCEL));
                    }
                    kept = Kept::Open;
                    break;
                }
            }
            _ => {}
        }
    }
    Ok((sample.ok_or_else(no_http)?, kept))
}

/// The header block of a request: each field a literal that is not indexed (RFC 7541 §6.2.2).
fn fields(request: &Request) -> Vec<u8> {
    // :method GET and :scheme https stand whole in the static table.
    let mut block = Vec::new();
    if request.method == Method::Get {
        block.push(0x82);
    } else {
        literal(&mut block, 2, request.method.name());
    }
    block.push(0x87);
    literal(&mut block, 1, &request.authority);
    literal(&mut block, 4, &request.path);
    literal(&mut block, 58, USER_AGENT);
    literal(&mut block, 19, "*/*");
    for (name, value) in request.fields() {
        number(&mut block, 4, 0, 0);
        text(&mut block, name);
        text(&mut block, &value);
    }
    block
}

/// A field whose name has this place in the static table.
fn literal(block: &mut Vec<u8>, name: usize, value: &str) {
    number(block, 4, 0, name);
    text(block, value);
}

fn text(block: &mut Vec<u8>, text: &str) {
    number(block, 7, 0, text.len());
    block.extend(text.as_bytes());
}

/// RFC 7541 §5.1.
fn number(block: &mut Vec<u8>, bits: u8, pattern: u8, number: usize) {
    let most = (1_usize << bits) - 1;
    let low = |number: usize| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    if number < most {
        block.push(pattern | low(number));
        return;
    }
    block.push(pattern | low(most));
    let mut rest = number - most;
    while rest >= 128 {
        block.push(low(rest % 128) | 128);
        rest /= 128;
    }
    block.push(low(rest));
}

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let mut frame = length[length.len() - 3..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(content);
    frame
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn read(source: &mut impl Read) -> io::Result<Self> {
        let mut header = [0; 9];
        source.read_exact(&mut header)?;
        let [a, b, c, kind, flags, stream @ ..] = header;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Err(no_http());
        }
        let mut payload = vec![0; length];
        source.read_exact(&mut payload)?;
        Ok(Self {
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
            payload,
        })
    }

    /// What a frame of data or fields carries, without padding and priority (§6.1, §6.2).
    fn content(&self) -> Option<&[u8]> {
        let mut content = self.payload.as_slice();
        if self.kind != CONTINUATION && self.flags & PADDED != 0 {
            let (padding, rest) = content.split_first()?;
            content = rest.get(..rest.len().checked_sub(usize::from(*padding))?)?;
        }
        if self.kind == HEADERS && self.flags & PRIORITY != 0 {
            content = content.get(5..)?;
        }
        Some(content)
    }

    /// Whether a GOAWAY leaves this stream to be answered: it names the last stream that is, and an error of
    /// none (§6.8).
    fn lets_go_on(&self, own: u32) -> bool {
        let Some(([a, b, c, d], error)) = self.payload.split_first_chunk() else {
            return false;
        };
        let last = u32::from_be_bytes([*a, *b, *c, *d]) & (u32::MAX >> 1);
        last >= own && error.get(..4) == Some(&[0; 4])
    }
}

/// The status, which stands before every other field (§8.3). The table of what was said before is empty then,
/// but for an interim answer.
fn status(mut block: &[u8]) -> Option<u16> {
    // Statuses that the static table has whole, from the eighth place on (RFC 7541 appendix A).
    const WHOLE: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    while block.first()? & 0xe0 == 0x20 {
        read_number(&mut block, 5)?;
    }
    let first = *block.first()?;
    if first & 0x80 != 0 {
        let place = read_number(&mut block, 7)?;
        return WHOLE.get(place.checked_sub(8)?).copied();
    }
    let place = read_number(&mut block, if first & 0x40 == 0 { 4 } else { 6 })?;
    if !(8..8 + WHOLE.len()).contains(&place) {
        return None;
    }
    let is_huffman = block.first()? & 0x80 != 0;
    let length = read_number(&mut block, 7)?;
    let value = block.get(..length)?;
    let digits = if is_huffman {
        huffman_digits(value)?
    } else {
        value.to_vec()
    };
    let is_status = digits.len() == 3 && digits.iter().all(u8::is_ascii_digit);
    is_status.then(|| digits.iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0')))
}

fn read_number(block: &mut &[u8], bits: u8) -> Option<usize> {
    let most = (1_u8 << bits) - 1;
    let (first, mut rest) = block.split_first()?;
    let mut number = usize::from(first & most);
    if number == usize::from(most) {
        for shift in [0, 7, 14] {
            let (octet, behind) = rest.split_first()?;
            rest = behind;
            number += usize::from(octet & 127) << shift;
            if octet & 128 == 0 {
                *block = rest;
                return Some(number);
            }
        }
        return None;
    }
    *block = rest;
    Some(number)
}

/// Digits in Huffman's code (RFC 7541 appendix B): 0 to 2 have five bits, the others six.
fn huffman_digits(value: &[u8]) -> Option<Vec<u8>> {
    let mut bits = value
        .iter()
        .flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1));
    let mut digits = Vec::new();
    loop {
        let mut code = 0;
        for read in 0..5 {
            match bits.next() {
                Some(bit) => code = code << 1 | bit,
                // What is left fills the last octet, with ones (§5.2).
                None => return (code == (1 << read) - 1).then_some(digits),
            }
        }
        match code {
            0..=2 => digits.push(b'0' + code),
            // Seven ones may be left; five are no digit.
            31 => return bits.all(|bit| bit == 1).then_some(digits),
            _ => {
                code = code << 1 | bits.next()?;
                match code {
                    0b01_1001..=0b01_1111 => digits.push(b'3' + code - 0b01_1001),
                    _ => return None,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    /// What a server says, and what is said to it.
    struct Said<'a>(&'a [u8], Vec<u8>);

    impl Read for Said<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Said<'_> {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.1.write(buffer)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn usual(path: &str) -> Request {
        Request::usual(&format!("https://api.acme.example:8443{path}").parse().unwrap())
    }

    fn told(frames: &[Vec<u8>]) -> io::Result<Sample> {
        ask(&mut Said(&frames.concat(), Vec::new()), &usual("/v1"), 0).map(|(sample, _)| sample)
    }

    #[test]
    fn a_connection_is_asked_again_until_the_server_takes_leave() {
        let request = usual("/v1");
        let answered = |stream, frames: &[Vec<u8>]| {
            let ok = frame(HEADERS, END_HEADERS, stream, &[0x88]);
            let whole = frame(DATA, END_STREAM, stream, b"ok");
            [frames.concat(), ok, whole].concat()
        };
        let mut said = Vec::new();
        let goes = frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
        let late = frame(DATA, END_STREAM, 1, b"late");
        for (before, frames, kept) in [
            (0, answered(1, &[]), Some(Kept::Open)),
            (
                1,
                answered(3, &[late, frame(PING, 0, 0, &[7; 8])]),
                Some(Kept::Open),
            ),
            (
                0,
                [answered(1, &[])[..11].to_vec(), goes.clone()].concat(),
                Some(Kept::Closed),
            ),
            (1, [goes, answered(3, &[])].concat(), None),
        ] {
            let mut peer = Said(&frames, Vec::new());
            let asked = ask(&mut peer, &request, before);
            assert_eq!(asked.ok().map(|(_, kept)| kept), kept, "{before} {frames:02x?}");
            said.push(peer.1);
        }
        assert!(
            said[0].starts_with(PREFACE) && said[1].starts_with(&[0, 0]),
            "{said:02x?}"
        );
        let pong = frame(PING, ACK, 0, &[7; 8]);
        assert!(
            said[1].windows(pong.len()).any(|part| part == pong),
            "{said:02x?}"
        );
    }

    #[test]
    fn a_status_is_read_in_each_form_that_servers_write() {
        for (block, expected) in [
            (&[0x88][..], Some(200)),
            (&[0x8c], Some(400)),
            (&[0x20, 0x3f, 0xe1, 0x1f, 0x88], Some(200)),
            (&[0x48, 3, b'4', b'0', b'3'], Some(403)),
            (&[0x08, 3, b'4', b'2', b'1'], Some(421)),
            // 302 as in RFC 7541 appendix C.6.1, 307 as in C.6.2, and 403 with its digits of six bits.
            (&[0x48, 0x82, 0x64, 0x02], Some(302)),
            (&[0x48, 0x83, 0x64, 0x0e, 0xff], Some(307)),
            (&[0x48, 0x83, 0x68, 0x0c, 0xff], Some(403)),
            // The letter a.
            (&[0x48, 0x81, 0x1f], None),
            (&[0x48, 9, b'4'], None),
            (&[0x82], None),
            (&[0xbe], None),
            (&[], None),
        ] {
            assert_eq!(status(block), expected, "{block:02x?}");
        }
    }

    #[test]
    fn an_answer_is_its_status_and_the_beginning_of_its_body() {
        let ok = frame(HEADERS, END_HEADERS, 1, &[0x88]);
        let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 128]);
        let early_hints = frame(HEADERS, END_HEADERS, 1, &[0x08, 3, b'1', b'0', b'3']);
        let padded = frame(DATA, PADDED | END_STREAM, 1, &[2, b'd', b'e', 0, 0]);
        let whole = [
            settings.clone(),
            early_hints,
            ok.clone(),
            frame(DATA, 0, 1, b"abc"),
            padded,
        ];
        let sample = told(&whole).unwrap();
        assert_eq!((sample.status, sample.body.as_slice()), (200, &b"abcde"[..]));
        // Cut off: what was there counts.
        let sample = told(&[ok.clone(), frame(DATA, 0, 1, b"abc")]).unwrap();
        assert_eq!(sample.body, b"abc");
        let cut = [
            frame(HEADERS, END_STREAM, 1, &[0x48, 3]),
            frame(CONTINUATION, END_HEADERS, 1, b"403"),
        ];
        assert_eq!(told(&cut).unwrap().status, 403);
        let long = vec![frame(DATA, 0, 1, &[b'x'; 9000]); 1];
        assert_eq!(told(&[vec![ok], long].concat()).unwrap().body.len(), SAMPLE);
    }

    #[test]
    fn a_stream_that_is_ended_is_a_refusal_and_other_protocols_are_none() {
        for refusal in [
            frame(RST_STREAM, 0, 1, &[0, 0, 0, 13]),
            frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 12]),
        ] {
            let why = told(&[refusal]).unwrap_err();
            assert_eq!(why.kind(), io::ErrorKind::ConnectionReset);
        }
        for foreign in [
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            vec![frame(SETTINGS, 0, 0, &[]); FRAMES + 1].concat(),
        ] {
            assert_eq!(told(&[foreign]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        assert_eq!(told(&[]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_request_says_the_host_and_the_path_in_the_clear() {
        let path = format!("/{}", "a".repeat(300));
        let block = fields(&usual(&path));
        assert_eq!(block[..3], [0x82, 0x87, 0x01]);
        // 301 = 127 + 46 + 128.
        let long = [&[0x04, 0x7f, 0xae, 0x01], path.as_bytes()].concat();
        assert!(block.windows(long.len()).any(|part| part == long));
        assert!(block.windows(21).any(|part| part == b"api.acme.example:8443"));
        let options = fields(&Request {
            method: Method::Options,
            ..usual("/")
        });
        assert!(options.starts_with(b"\x02\x07OPTIONS\x87"), "{options:02x?}");
        assert!(
            options.ends_with(b"\x00\x1daccess-control-request-method\x03GET"),
            "{options:02x?}"
        );
    }
}
