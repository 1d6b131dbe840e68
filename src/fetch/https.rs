//! Reads a publication from an https server: one agent, with limits on time, length and redirects.

use std::path::Path;
use std::time::Instant;

use ureq::http::{HeaderMap, StatusCode, Uri, header};

use super::answer::{Answer, SourceError, Validator};
use crate::https::{self, Client, NoTrust, Resolve};
use crate::model::text::{quoted, quoted_url};

/// How often a server may send us elsewhere.
const REDIRECTS: usize = 3;

pub(super) struct Https {
    client: Client,
    base: Base,
    deadline: Instant,
}

impl Https {
    /// `ca` holds the certificates that are trusted for servers, in place of the system's.
    pub(super) fn new(
        base: Uri,
        ca: Option<&Path>,
        resolve: &[Resolve],
        deadline: Instant,
    ) -> Result<Self, SourceError> {
        Ok(Self {
            client: Client::new(ca, resolve)?,
            base: Base(base),
            deadline,
        })
    }

    pub(super) fn ask(
        &self,
        path: &str,
        known: Option<&Validator>,
        longest: u64,
    ) -> Result<Answer, SourceError> {
        let mut uri = self.base.below(&format!("{}{path}", self.base.0.path()))?;
        for _ in 0..=REDIRECTS {
            let response = self.get(&uri, known)?;
            let status = response.status();
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
                uri = self.base.redirected(&uri, response.headers())?;
                continue;
            }
            return match status {
                StatusCode::NOT_MODIFIED if known.is_some() => Ok(Answer::Same),
                StatusCode::OK => {
                    let validator = validator(response.headers());
                    let body = response.into_body();
                    if body.content_length().is_some_and(|length| length > longest) {
                        return Err(SourceError::TooLong(longest));
                    }
                    Ok(Answer::File {
                        octets: Box::new(body.into_reader()),
                        validator,
                    })
                }
                StatusCode::NOT_FOUND | StatusCode::GONE => Err(SourceError::Missing),
                other => Err(SourceError::Status(other.as_u16())),
            };
        }
        Err(SourceError::Redirect {
            to: quoted_url(&uri.to_string()),
            why: "one redirect too many",
        })
    }

    fn get(
        &self,
        uri: &Uri,
        known: Option<&Validator>,
    ) -> Result<ureq::http::Response<ureq::Body>, SourceError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SourceError::Slow("the time given with --timeout is over".into()));
        }
        let mut request = self
            .client
            .agent
            .get(uri)
            .config()
            .timeout_global(Some(left))
            .build();
        if let Some(etag) = known.and_then(|known| known.etag.as_ref()) {
            request = request.header(header::IF_NONE_MATCH, etag);
        } else if let Some(date) = known.and_then(|known| known.last_modified.as_ref()) {
            request = request.header(header::IF_MODIFIED_SINCE, date);
        }
        request.call().map_err(|error| {
            if https::is_timeout(&error) {
                SourceError::Slow(error.to_string())
            } else {
                SourceError::Network(self.client.trouble(uri, error))
            }
        })
    }
}

/// The URL of a publication: everything is read from its server.
pub(super) struct Base(pub(super) Uri);

impl Base {
    /// Where a redirect leads: to the same server by https, or nowhere.
    pub(super) fn redirected(&self, from: &Uri, headers: &HeaderMap) -> Result<Uri, SourceError> {
        let location = headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let text = location.unwrap_or_default();
        let refused = |why| SourceError::Redirect {
            to: quoted_url(text),
            why,
        };
        if text.starts_with("//") {
            return Err(refused("another server"));
        }
        if let Some(path) = text.strip_prefix('/') {
            return self.below(&format!("/{path}"));
        }
        if !text.contains("://") {
            let directory = from
                .path()
                .rsplit_once('/')
                .map_or("", |(directory, _)| directory);
            return self.below(&format!("{directory}/{text}"));
        }
        let to: Uri = text.parse().map_err(|_| refused("no URL"))?;
        if to.scheme_str() != Some("https") {
            return Err(refused("not https"));
        }
        let server = |uri: &Uri| {
            let authority = uri.authority()?.as_str().to_ascii_lowercase();
            let usual = authority.strip_suffix(":443").map(str::to_owned);
            Some(usual.unwrap_or(authority))
        };
        if server(&to) != server(&self.0) {
            return Err(refused("another server"));
        }
        self.below(to.path_and_query().map_or("/", |path| path.as_str()))
    }

    /// A path, perhaps with a query, on the server.
    fn below(&self, path: &str) -> Result<Uri, SourceError> {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        let uri = Uri::builder()
            .scheme("https")
            .authority(authority)
            .path_and_query(path);
        uri.build().map_err(|error| SourceError::Redirect {
            to: quoted(&format!("{path} ({error})")),
            why: "no path",
        })
    }
}

impl From<NoTrust> for SourceError {
    fn from(error: NoTrust) -> Self {
        match error {
            NoTrust::Disk(error) => Self::Disk(error),
            other @ (NoTrust::File { .. } | NoTrust::System(_)) => Self::NoTrust(other),
        }
    }
}

/// What to send along the next time, where it can be sent: another program wrote it, and it goes into a file
/// of ours.
///
/// A date, and an ETag that is made of one as nginx's is, says nothing of a second change in the same second
/// (RFC 9110 §8.8.2.2). So what was young when it was sent is read again the next time: a revocation must not
/// be missed until the one after it.
pub(super) fn validator(headers: &HeaderMap) -> Option<Validator> {
    const LONGEST: usize = 256;
    /// Seconds, of the server's own clock.
    const YOUNG: i64 = 2;
    let text = |name| {
        let value = headers.get(name)?.to_str().ok()?;
        (value.len() <= LONGEST).then(|| value.to_owned())
    };
    let last_modified = text(header::LAST_MODIFIED);
    if let Some(modified) = &last_modified {
        let age = https::seconds(&text(header::DATE)?)? - https::seconds(modified)?;
        if age < YOUNG {
            return None;
        }
    }
    let validator = Validator {
        etag: text(header::ETAG),
        last_modified,
    };
    (validator.etag.is_some() || validator.last_modified.is_some()).then_some(validator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_young_when_it_was_sent_is_asked_for_again() {
        let date = |second: u8| format!("Sun, 22 Nov 2026 13:00:{second:02} GMT");
        let kept = |etag: bool, modified: Option<u8>, sent: Option<u8>| {
            let mut headers = HeaderMap::new();
            if etag {
                headers.insert(header::ETAG, "\"6925b7e0-cb4\"".parse().unwrap());
            }
            for (name, second) in [(header::LAST_MODIFIED, modified), (header::DATE, sent)] {
                if let Some(second) = second {
                    headers.insert(name, date(second).parse().unwrap());
                }
            }
            validator(&headers).is_some()
        };
        assert!(kept(true, Some(10), Some(12)) && kept(false, Some(10), Some(12)));
        assert!(kept(true, None, None) && !kept(false, None, Some(12)));
        for sent in [Some(11), Some(10), Some(9), None] {
            assert!(!kept(true, Some(10), sent), "{sent:?}");
        }
    }
}
