//! The manners of a request that a server's rules may treat differently: another method, or another spelling
//! of the same host, such as in capitals.

use std::fmt;

use crate::check::client::request::{Method, Request};
use crate::check::client::url::Url;

/// Another manner than the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// With the method HEAD.
    Head,
    /// With the method OPTIONS.
    Options,
    /// With a method that does not exist.
    UnknownMethod,
    /// With POST, for a path at which there is nothing. At the path of the URL an application might do
    /// something.
    PostNowhere,
    /// With the port given where it is the default one.
    WithPort,
    /// Without the port where it is not the default one.
    WithoutPort,
    /// With the host in capitals.
    Capitals,
    /// With a dot behind the host: the same name, written out to the root.
    Dot,
    /// With a query behind the path.
    WithQuery,
    /// With the field by which servers tell an application the device.
    Claiming,
}

/// The last part of a path that no application has.
const NOWHERE: &str = "pki-check-nowhere";

impl Manner {
    /// Every manner.
    pub const ALL: [Self; 10] = [
        Self::Head,
        Self::Options,
        Self::UnknownMethod,
        Self::PostNowhere,
        Self::WithPort,
        Self::WithoutPort,
        Self::Capitals,
        Self::Dot,
        Self::WithQuery,
        Self::Claiming,
    ];

    /// The request; none where it would be the usual one. An address has one spelling only, but for the port.
    pub fn request(self, url: &Url) -> Option<Request> {
        let by = |method| Request {
            method,
            ..Request::usual(url)
        };
        let of = |authority| Request {
            authority,
            ..Request::usual(url)
        };
        let (host, name) = (url.bracketed_host(), url.dns_name());
        let spelled = |name: String| of(url.authority_of(&name));
        match self {
            Self::Head => Some(by(Method::Head)),
            Self::Options => Some(by(Method::Options)),
            Self::UnknownMethod => Some(by(Method::Unknown)),
            Self::PostNowhere => Some(Request {
                path: nowhere(url),
                ..by(Method::Post)
            }),
            Self::WithPort if url.is_usual_port() => Some(of(format!("{host}:{}", url.port()))),
            Self::WithoutPort if !url.is_usual_port() => Some(of(host)),
            Self::WithPort | Self::WithoutPort => None,
            Self::Capitals => name.map(|name| spelled(name.to_ascii_uppercase())),
            Self::Dot => name.map(|name| spelled(format!("{name}."))),
            Self::WithQuery => Some(Request {
                path: with_query(url),
                ..Request::usual(url)
            }),
            Self::Claiming => Some(Request {
                claims: true,
                ..Request::usual(url)
            }),
        }
    }

    /// The usual request for the same path, where that is not the URL's: only who refuses that can refuse the
    /// other by another rule.
    pub fn counterpart(self, url: &Url) -> Option<Request> {
        (self == Self::PostNowhere).then(|| Request {
            path: nowhere(url),
            ..Request::usual(url)
        })
    }

    /// Whether a device gets an answer of its own by it. By another spelling it should get the usual one: who
    /// gets another may have met another host.
    pub fn has_its_own_answer(self) -> bool {
        match self {
            Self::Head | Self::Options | Self::UnknownMethod | Self::PostNowhere | Self::WithQuery => true,
            Self::WithPort | Self::WithoutPort | Self::Capitals | Self::Dot | Self::Claiming => false,
        }
    }
}

/// Beside what the URL names, where the same rules should be in force.
fn nowhere(url: &Url) -> String {
    let path = url.path().split('?').next().unwrap_or_default();
    let place = path.rfind('/').map_or("/", |at| &path[..=at]);
    format!("{place}{NOWHERE}")
}

/// What the URL names, asked with one more parameter.
fn with_query(url: &Url) -> String {
    let mark = if url.path().contains('?') { '&' } else { '?' };
    format!("{}{mark}{NOWHERE}=1", url.path())
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => " by HEAD",
            Self::Options => " by OPTIONS",
            Self::UnknownMethod => " by a method that there is not",
            Self::PostNowhere => " by POST for a path that there is not",
            Self::WithPort => " with the port behind the host",
            Self::WithoutPort => " without the port behind the host",
            Self::Capitals => " with the host in capitals",
            Self::Dot => " with a dot behind the host",
            Self::WithQuery => " with a query behind the path",
            Self::Claiming => " with the field X-Client-Device of its own",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &str) -> Vec<String> {
        let url: Url = url.parse().unwrap();
        let requests = Manner::ALL.into_iter().filter_map(|manner| manner.request(&url));
        let usual = Request::usual(&url);
        requests
            .filter(|request| request.authority != usual.authority)
            .map(|request| request.authority)
            .collect()
    }

    #[test]
    fn a_host_is_written_in_every_way_that_means_the_same() {
        for (url, written) in [
            (
                "https://api.acme.example/",
                &["api.acme.example:443", "API.ACME.EXAMPLE", "api.acme.example."][..],
            ),
            (
                "https://api.acme.example:8443/",
                &[
                    "api.acme.example",
                    "API.ACME.EXAMPLE:8443",
                    "api.acme.example.:8443",
                ],
            ),
            ("https://192.0.2.7/", &["192.0.2.7:443"]),
            ("https://[2001:db8::1]:8443/", &["[2001:db8::1]"]),
        ] {
            assert_eq!(hosts(url), written, "{url}");
        }
    }

    #[test]
    fn nothing_is_posted_to_the_path_of_the_url() {
        for (url, path) in [
            ("https://api.acme.example", "/pki-check-nowhere"),
            ("https://api.acme.example/v1/hello?a=/b", "/v1/pki-check-nowhere"),
            ("https://api.acme.example/v1/", "/v1/pki-check-nowhere"),
        ] {
            let url: Url = url.parse().unwrap();
            for manner in Manner::ALL {
                let posts = manner
                    .request(&url)
                    .filter(|request| request.method == Method::Post);
                assert!(posts.is_none_or(|request| request.path == path), "{url} {manner}");
            }
            let counterpart = Manner::PostNowhere.counterpart(&url).unwrap();
            assert_eq!(
                (counterpart.method, counterpart.path.as_str()),
                (Method::Get, path)
            );
        }
    }
}
