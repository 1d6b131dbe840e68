//! A server's answer to the first message: read octet by octet, for it comes from whoever answers there.

use std::io::Read;

use super::client_hello::Version;

/// What a server answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It took the offer.
    Accepted {
        /// The version that it chose.
        version: u16,
        /// The cipher suite that it chose.
        suite: u16,
    },
    /// It refused by an alert of this description (RFC 8446 §6), or closed the connection.
    Refused(Option<u8>),
    /// Whatever it speaks, it is not TLS.
    NotTls,
}

/// The most that is read before a ServerHello must have ended.
const LONGEST: usize = 1 << 16;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
/// The extension in which TLS 1.3 says its version (RFC 8446 §4.2.1).
const SUPPORTED_VERSIONS: u16 = 43;

/// Reads an answer.
///
/// # Errors
/// Where the connection fails, a deadline included. One that is closed or reset is a refusal.
pub fn read(source: &mut impl Read) -> std::io::Result<Answer> {
    use std::io::ErrorKind as Kind;
    match answer(source) {
        Err(error)
            if [
                Kind::UnexpectedEof,
                Kind::ConnectionReset,
                Kind::ConnectionAborted,
                Kind::BrokenPipe,
            ]
            .contains(&error.kind()) =>
        {
            Ok(Answer::Refused(None))
        }
        outcome => outcome,
    }
}

fn answer(source: &mut impl Read) -> std::io::Result<Answer> {
    // A message may be cut over several records (RFC 8446 §5.1).
    let mut message = Vec::new();
    while message.len() < LONGEST {
        let mut header = [0; 5];
        source.read_exact(&mut header)?;
        let [kind, major, _, high, low] = header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if ![ALERT, HANDSHAKE].contains(&kind) || major != 3 || length == 0 || length > 18_432 {
            return Ok(Answer::NotTls);
        }
        let begin = message.len();
        message.resize(begin + length, 0);
        source.read_exact(&mut message[begin..])?;
        if kind == ALERT {
            return Ok(Answer::Refused(message.get(begin + 1).copied()));
        }
        if let Some(answer) = server_hello(&message) {
            return Ok(answer);
        }
    }
    Ok(Answer::NotTls)
}

/// The answer in a handshake message, once it is there as a whole.
fn server_hello(message: &[u8]) -> Option<Answer> {
    let (kind, rest) = message.split_first()?;
    if *kind != SERVER_HELLO {
        return Some(Answer::NotTls);
    }
    let mut rest = Octets(rest);
    let length = rest.number::<3>()?;
    if length > LONGEST {
        return Some(Answer::NotTls);
    }
    let body = rest.take(length)?;
    Some(accepted(Octets(body)).unwrap_or(Answer::NotTls))
}

/// RFC 5246 §7.4.1.3, RFC 8446 §4.1.3.
fn accepted(mut body: Octets<'_>) -> Option<Answer> {
    let mut version = body.short()?;
    body.take(32)?;
    let session = body.number::<1>()?;
    body.take(session)?;
    let suite = body.short()?;
    body.take(1)?;
    // Before TLS 1.2 there need be none.
    if !body.0.is_empty() {
        let length = body.number::<2>()?;
        let mut extensions = Octets(body.take(length)?);
        while !extensions.0.is_empty() {
            let kind = extensions.short()?;
            let length = extensions.number::<2>()?;
            let mut content = Octets(extensions.take(length)?);
            if kind == SUPPORTED_VERSIONS {
                version = content.short()?;
            }
        }
    }
    Version::of(version)?;
    Some(Answer::Accepted { version, suite })
}

/// What is left to be read.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<usize> {
        let octets = self.take(N)?;
        Some(
            octets
                .iter()
                .fold(0, |number, octet| number << 8 | usize::from(*octet)),
        )
    }

    fn short(&mut self) -> Option<u16> {
        self.number::<2>().and_then(|number| number.try_into().ok())
    }
}

/// What an alert says, in the words of RFC 8446 §6.
pub fn alert(description: u8) -> &'static str {
    match description {
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        112 => "unrecognized_name",
        116 => "certificate_required",
        _ => "an alert",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A ServerHello with a session identifier and the version where TLS 1.3 has it, in records of at most `cut` octets.
    fn records(version: u16, suite: u16, cut: usize) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([9; 32]);
        body.extend([2, 1, 1]);
        body.extend(suite.to_be_bytes());
        body.push(0);
        let mut extensions = vec![0xff, 0x01, 0, 1, 0];
        extensions.extend([0, 43, 0, 2]);
        extensions.extend(version.to_be_bytes());
        body.extend([0, u8::try_from(extensions.len()).unwrap()]);
        body.extend(extensions);
        let mut message = vec![2, 0, 0, u8::try_from(body.len()).unwrap()];
        message.extend(body);
        let mut records = Vec::new();
        for part in message.chunks(cut) {
            records.extend([22, 3, 3, 0, u8::try_from(part.len()).unwrap()]);
            records.extend(part);
        }
        records
    }

    #[test]
    fn an_offer_that_was_taken_says_version_and_suite_however_it_is_cut() {
        for cut in [1, 3, 7, 200] {
            let read = read(&mut &records(0x0304, 0x1302, cut)[..]).unwrap();
            let taken = Answer::Accepted {
                version: 0x0304,
                suite: 0x1302,
            };
            assert_eq!(read, taken, "{cut}");
        }
    }

    #[test]
    fn an_alert_or_a_closed_connection_is_a_refusal() {
        let alert = [21, 3, 3, 0, 2, 2, 70];
        assert_eq!(read(&mut &alert[..]).unwrap(), Answer::Refused(Some(70)));
        assert_eq!(super::alert(70), "protocol_version");
        assert_eq!(read(&mut &alert[..3]).unwrap(), Answer::Refused(None));
        assert_eq!(read(&mut &b""[..]).unwrap(), Answer::Refused(None));
    }

    #[test]
    fn another_protocol_is_not_taken_for_tls() {
        for said in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"SSH-2.0-OpenSSH_9.2\r\n",
            &[0; 64],
        ] {
            assert_eq!(read(&mut &said[..]).unwrap(), Answer::NotTls);
        }
    }

    #[test]
    fn a_message_without_an_end_is_not_read_for_ever() {
        // Records of one octet each, of a message that claims to be longer than any.
        let records = std::iter::once(2)
            .chain([0, 0xff])
            .chain(std::iter::repeat_n(0xff, LONGEST));
        let octets: Vec<u8> = records.flat_map(|octet| [22, 3, 3, 0, 1, octet]).collect();
        assert_eq!(read(&mut &octets[..]).unwrap(), Answer::NotTls);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&mut &octets[..]);
        }

        #[test]
        fn a_damaged_answer_is_read_without_a_panic(place in 0usize..60, octet in any::<u8>(), cut in 0usize..70) {
            let mut damaged = records(0x0304, 0x1301, 200);
            let place = place % damaged.len();
            damaged[place] = octet;
            damaged.truncate(cut);
            let _ = read(&mut &damaged[..]);
        }
    }
}
