//! Asks a service of EST (RFC 7030) as a client that shows its certificate, and asks again where that may
//! help.

use std::io::Read;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use ureq::http::{Uri, header};

use super::answer::{self, Unfit};
use super::error::ReenrollError;
use super::order::Order;
use super::url::EstUrl;
use crate::https::{self, Client, Identity, NoTrust, Trouble};
use crate::model::text::{printable, quoted};

/// The first pause before a service is asked again; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest answer that is read, in octets.
const LONGEST: u64 = 256 << 10;

/// A service, as this device asks it.
pub(super) struct Service<'a> {
    url: &'a EstUrl,
    client: Client,
    deadline: Instant,
}

impl<'a> Service<'a> {
    pub(super) fn new(order: &Order<'a>, identity: Identity) -> Result<Self, ReenrollError> {
        let client = Client::with_identity(order.root, order.resolve, identity);
        Ok(Self {
            url: order.url,
            client: client.map_err(|why| match why {
                NoTrust::Disk(error) => ReenrollError::Disk(error),
                why @ (NoTrust::File { .. } | NoTrust::System(_)) => ReenrollError::NoTrust(why),
            })?,
            deadline: Instant::now() + order.timeout,
        })
    }

    /// The CAs that the service names, each in DER (RFC 7030 §4.1).
    pub(super) fn authorities(&self) -> Result<Vec<Vec<u8>>, ReenrollError> {
        self.certificates("cacerts", None)
    }

    /// The certificates that the service sends for a request, PKCS#10 in DER (RFC 7030 §4.2.2).
    pub(super) fn reenroll(&self, request: &[u8]) -> Result<Vec<Vec<u8>>, ReenrollError> {
        self.certificates("simplereenroll", Some(&BASE64.encode(request)))
    }

    /// The error for an answer that is not what was asked for.
    pub(super) fn unfit(&self, why: Unfit) -> ReenrollError {
        ReenrollError::Unfit {
            url: self.url.to_string(),
            why,
        }
    }

    fn certificates(&self, operation: &str, body: Option<&str>) -> Result<Vec<Vec<u8>>, ReenrollError> {
        let answered = self.ask_again_and_again(operation, body)?;
        answer::certificates(&answered).map_err(|why| self.unfit(why))
    }

    fn ask_again_and_again(&self, operation: &str, body: Option<&str>) -> Result<Vec<u8>, ReenrollError> {
        let mut pause = PAUSE;
        loop {
            match self.ask(operation, body) {
                Err(error) if may_pass(&error) && Instant::now() + pause < self.deadline => {
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                outcome => return outcome,
            }
        }
    }

    fn ask(&self, operation: &str, body: Option<&str>) -> Result<Vec<u8>, ReenrollError> {
        let url = self.url.operation(operation);
        let left = self.deadline.saturating_duration_since(Instant::now());
        let left = Some(left.max(Duration::from_millis(1)));
        let agent = &self.client.agent;
        let sent = match body {
            None => agent.get(&url).config().timeout_global(left).build().call(),
            Some(body) => agent
                .post(&url)
                .config()
                .timeout_global(left)
                .build()
                .header(header::CONTENT_TYPE, "application/pkcs10")
                .header("Content-Transfer-Encoding", "base64")
                .send(body),
        };
        let response = sent.map_err(|error| self.network(&url, error))?;
        let status = response.status().as_u16();
        let mut octets = Vec::new();
        let mut reader = response.into_body().into_reader().take(LONGEST);
        reader
            .read_to_end(&mut octets)
            .map_err(|error| self.network(&url, error.into()))?;
        let url = url.to_string();
        match status {
            200 => Ok(octets),
            408 | 429 | 500..=599 => Err(ReenrollError::Unavailable {
                url,
                status,
                told: told(&octets),
            }),
            _ => Err(ReenrollError::Refused {
                url,
                status,
                told: told(&octets),
                kept: None,
            }),
        }
    }

    fn network(&self, uri: &Uri, error: ureq::Error) -> ReenrollError {
        let url = uri.to_string();
        if https::is_timeout(&error) {
            let why = error.to_string();
            ReenrollError::Slow { url, why }
        } else {
            let why = self.client.trouble(uri, error);
            ReenrollError::Network { url, why }
        }
    }
}

/// Whether the same question may be answered a little later. A request that was certified already is answered
/// as the first time.
fn may_pass(error: &ReenrollError) -> bool {
    match error {
        ReenrollError::Slow { .. } | ReenrollError::Unavailable { .. } => true,
        ReenrollError::Network { why, .. } => match why {
            Trouble::NoAddress { .. } | Trouble::NobodyListens(_) | Trouble::Broken(_) => true,
            Trouble::Untrusted { .. }
            | Trouble::OtherHost { .. }
            | Trouble::Ended(_)
            | Trouble::NotYet(_)
            | Trouble::Unfit(_)
            | Trouble::NotTls(_)
            | Trouble::Alert(_) => false,
        },
        ReenrollError::Disk(_)
        | ReenrollError::Credential(_)
        | ReenrollError::Stray(_)
        | ReenrollError::Root { .. }
        | ReenrollError::NoTrust(_)
        | ReenrollError::Busy { .. }
        | ReenrollError::Refused { .. }
        | ReenrollError::Unfit { .. }
        | ReenrollError::Request(_) => false,
    }
}

/// What a service says in the first line of its answer, as a terminal may show it.
fn told(body: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return "it does not say why".into();
    }
    if line.chars().count() <= LONGEST && printable(line).is_ok() {
        line.to_owned()
    } else {
        quoted(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_told_in_its_own_words_and_moves_no_cursor() {
        assert_eq!(
            told(b"this certificate is revoked\n"),
            "this certificate is revoked"
        );
        assert_eq!(told(b""), "it does not say why");
        assert_eq!(told(b"\x1b[2Jgone\nmore"), "\"\\u{1b}[2Jgone\"");
        assert_eq!(told(&[b'a'; 999]).chars().count(), 63);
    }
}
