//! Proxies: whose connections and requests they pass on. That is said by a header of the PROXY protocol
//! before anything else, or by X-Forwarded-For in each request, and is believed of the addresses in
//! `pki.toml` alone.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::http::HeaderMap;
use ppp::{HeaderResult, PartialResult, v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::model::IpRange;

/// The longest header that is taken, in octets: one of version 2 with the extensions that proxies add.
const LONGEST: usize = 1024;
/// The longest line of version 1, in octets.
const LONGEST_LINE: usize = 107;
/// How long until the rest of a header is looked for again.
const AGAIN: Duration = Duration::from_millis(5);
/// The headers by which a proxy says that it passed on a request.
const TELLTALES: [&str; 4] = ["x-forwarded-for", "forwarded", "x-real-ip", "via"];

/// The proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Vec<IpRange>);

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From whoever has this address.
    Peer(SocketAddr),
    /// From this address, as a proxy that is believed said before the connection.
    Proxied(SocketAddr),
    /// From a proxy that is believed: each request may say whose it is.
    Proxy(SocketAddr),
    /// From a proxy that `pki.toml` does not name: it has sent a header of the PROXY protocol all the same,
    /// and nobody is served through it.
    Unnamed(SocketAddr),
}

/// Whose request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The address; its port is 0 where only the address is known.
    pub address: SocketAddr,
    /// Whether nothing says that it came through a proxy that is not believed, whose own address this would
    /// be.
    pub is_certain: bool,
}

impl Proxies {
    /// Those with an address in these ranges.
    pub fn new(ranges: Vec<IpRange>) -> Self {
        Self(ranges)
    }

    /// Whether this is the address of one of them.
    pub fn have(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.covers(address.to_canonical()))
    }

    /// Where a connection comes from: takes the header of the PROXY protocol off it, where a proxy that is
    /// believed has sent one. Waits until something has come.
    ///
    /// # Errors
    /// Where the header is malformed, or the connection ends within it.
    pub async fn origin(&self, stream: &mut TcpStream, peer: SocketAddr) -> io::Result<Origin> {
        let mut octets = [0; LONGEST];
        if !self.have(peer.ip()) {
            let length = stream.peek(&mut octets).await?;
            let begun = octets.get(..length).unwrap_or_default();
            return Ok(match Preface::read(begun) {
                Preface::Whole(..) => Origin::Unnamed(peer),
                Preface::None | Preface::Begun | Preface::Malformed => Origin::Peer(peer),
            });
        }
        loop {
            let length = stream.peek(&mut octets).await?;
            let begun = octets.get(..length).unwrap_or_default();
            match Preface::read(begun) {
                Preface::None => return Ok(Origin::Proxy(peer)),
                Preface::Begun if length == 0 || length == LONGEST => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Preface::Begun => tokio::time::sleep(AGAIN).await,
                Preface::Malformed => return Err(io::ErrorKind::InvalidData.into()),
                Preface::Whole(length, source) => {
                    let mut header = vec![0; length];
                    stream.read_exact(&mut header).await?;
                    return Ok(match source {
                        Some(source) => Origin::Proxied(source),
                        // The proxy speaks for itself, as when it looks whether the service is there.
                        None => Origin::Peer(peer),
                    });
                }
            }
        }
    }

    /// Whose request it is that came on a connection.
    pub fn client(&self, origin: Origin, headers: &HeaderMap) -> Client {
        match origin {
            Origin::Proxied(address) => Client {
                address,
                is_certain: true,
            },
            Origin::Peer(address) | Origin::Unnamed(address) => Client {
                address,
                is_certain: !TELLTALES.iter().any(|name| headers.contains_key(*name)),
            },
            Origin::Proxy(proxy) => {
                // Each proxy adds whom it has it from: behind the last that is believed stands the client.
                // What nobody can read ends that, and so does what stands before it.
                let forwarded = headers.get_all("x-forwarded-for").iter();
                let hops: Vec<&[u8]> = forwarded
                    .flat_map(|value| value.as_bytes().split(|octet| *octet == b','))
                    .collect();
                let mut named = hops.iter().rev().map_while(|hop| address_of(hop));
                let client = named.find(|hop| !self.have(*hop));
                Client {
                    address: client.map_or(proxy, |client| SocketAddr::new(client, 0)),
                    is_certain: client.is_some() || !TELLTALES.iter().any(|name| headers.contains_key(*name)),
                }
            }
        }
    }
}

/// The address that a proxy names, with or without a port.
fn address_of(octets: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(octets).ok()?.trim();
    let with_port = text.parse::<SocketAddr>().map(|address| address.ip());
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    with_port.ok().or_else(|| bare.parse().ok())
}

/// What the first octets of a connection are.
#[derive(Debug, PartialEq, Eq)]
enum Preface {
    /// No header.
    None,
    /// The beginning of one, perhaps.
    Begun,
    /// A header that nobody can read.
    Malformed,
    /// A header of this length, and the address that it names; none where the proxy speaks for itself.
    Whole(usize, Option<SocketAddr>),
}

impl Preface {
    fn read(octets: &[u8]) -> Self {
        let signatures = [b"PROXY ".as_slice(), v2::PROTOCOL_PREFIX];
        let is_whole = signatures.iter().any(|signature| octets.starts_with(signature));
        if !is_whole {
            let is_begun = signatures.iter().any(|signature| signature.starts_with(octets));
            return if is_begun { Self::Begun } else { Self::None };
        }
        let parsed = HeaderResult::parse(octets);
        let is_cut_off = octets.first() == Some(&b'P')
            && octets.len() < LONGEST_LINE
            && !octets.windows(2).any(|pair| pair == b"\r\n");
        if is_cut_off || parsed.is_incomplete() {
            return Self::Begun;
        }
        match parsed {
            HeaderResult::V1(Ok(header)) => Self::Whole(
                header.header.len(),
                match header.addresses {
                    v1::Addresses::Tcp4(named) => Some((named.source_address, named.source_port).into()),
                    v1::Addresses::Tcp6(named) => Some((named.source_address, named.source_port).into()),
                    v1::Addresses::Unknown => None,
                },
            ),
            HeaderResult::V2(Ok(header)) => Self::Whole(
                header.len(),
                match (header.command, &header.addresses) {
                    (v2::Command::Proxy, v2::Addresses::IPv4(named)) => {
                        Some((named.source_address, named.source_port).into())
                    }
                    (v2::Command::Proxy, v2::Addresses::IPv6(named)) => {
                        Some((named.source_address, named.source_port).into())
                    }
                    (v2::Command::Proxy, v2::Addresses::Unix(_) | v2::Addresses::Unspecified)
                    | (v2::Command::Local, _) => None,
                },
            ),
            HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn proxies() -> Proxies {
        Proxies::new(
            ["127.0.0.0/8", "10.0.0.0/8"]
                .map(|range| range.parse().unwrap())
                .to_vec(),
        )
    }

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_header_of_either_version_names_the_client_and_cut_off_it_is_none_yet() {
        let one = b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\n\x16\x03";
        let six = b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n";
        let mut two = v2::PROTOCOL_PREFIX.to_vec();
        two.extend([0x21, 0x11, 0, 12, 192, 0, 2, 7, 10, 0, 0, 1, 0x9C, 0x40, 1, 0xBB]);
        for (octets, address) in [
            (&one[..one.len() - 2], "192.0.2.7:40000"),
            (six, "[2001:db8::7]:40000"),
            (&two, "192.0.2.7:40000"),
        ] {
            let whole = Preface::Whole(octets.len(), Some(socket(address)));
            assert_eq!(Preface::read(octets), whole);
            for cut in 0..octets.len() {
                assert_eq!(
                    Preface::read(&octets[..cut]),
                    Preface::Begun,
                    "{cut} of {octets:?}"
                );
            }
            let more = [octets, b"\x16\x03\x01"].concat();
            assert_eq!(Preface::read(&more), whole);
        }
        assert_eq!(Preface::read(b"PROXY UNKNOWN\r\n"), Preface::Whole(15, None));
        let mut local = v2::PROTOCOL_PREFIX.to_vec();
        local.extend([0x20, 0, 0, 0]);
        assert_eq!(Preface::read(&local), Preface::Whole(16, None));
        for octets in [
            &b"\x16\x03\x01"[..],
            b"POST /i/A HTTP/1.1\r\n",
            b"PRO\r\n",
            b"\r\nGET",
        ] {
            assert_eq!(Preface::read(octets), Preface::None, "{octets:?}");
        }
        assert_eq!(
            Preface::read(b"PROXY TCP4 nobody 10.0.0.1 1 2\r\n"),
            Preface::Malformed
        );
    }

    #[test]
    fn a_request_is_whose_the_last_proxy_that_is_believed_says() {
        let proxies = proxies();
        let proxy = Origin::Proxy(socket("127.0.0.1:5"));
        for (said, client) in [
            ("192.0.2.7", "192.0.2.7:0"),
            ("198.51.100.1, 192.0.2.7", "192.0.2.7:0"),
            ("192.0.2.7, 10.1.1.1", "192.0.2.7:0"),
            ("192.0.2.7:1234", "192.0.2.7:0"),
            ("[2001:db8::7]:1234", "[2001:db8::7]:0"),
            ("2001:db8::7", "[2001:db8::7]:0"),
        ] {
            let client = Client {
                address: socket(client),
                is_certain: true,
            };
            assert_eq!(
                proxies.client(proxy, &headers(&[("x-forwarded-for", said)])),
                client,
                "{said}"
            );
        }
        // What nobody can read, and what stands before it, was added by nobody who is believed.
        for said in ["192.0.2.7, unknown", "unknown", "192.0.2.7, "] {
            let client = proxies.client(proxy, &headers(&[("x-forwarded-for", said)]));
            assert_eq!(client.address, socket("127.0.0.1:5"), "{said}");
            assert!(!client.is_certain, "{said}");
        }
        // Nor does it erase what stands behind it, in one header or two.
        for before in [&b"\xff, 192.0.2.7"[..], b"\xff"] {
            let mut both = HeaderMap::new();
            both.append("x-forwarded-for", HeaderValue::from_bytes(before).unwrap());
            let told = proxies.client(proxy, &both);
            assert_eq!(told.is_certain, before.len() > 1, "{before:?}");
            both.append("x-forwarded-for", "192.0.2.9".parse().unwrap());
            assert_eq!(proxies.client(proxy, &both).address, socket("192.0.2.9:0"));
        }
        // A proxy that says otherwise that it passed something on, or nothing of use, speaks for nobody.
        for (name, value) in [
            ("x-forwarded-for", ""),
            ("x-real-ip", "192.0.2.7"),
            ("via", "1.1 proxy"),
        ] {
            assert!(
                !proxies.client(proxy, &headers(&[(name, value)])).is_certain,
                "{name}"
            );
        }
        assert!(proxies.client(proxy, &HeaderMap::new()).is_certain);
        let twice = headers(&[
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-for", "192.0.2.7"),
        ]);
        assert_eq!(proxies.client(proxy, &twice).address, socket("192.0.2.7:0"));
    }

    #[test]
    fn nobody_else_is_believed() {
        let proxies = proxies();
        let said = headers(&[("x-forwarded-for", "127.0.0.1")]);
        let stranger = Origin::Peer(socket("192.0.2.1:7"));
        let told = proxies.client(stranger, &said);
        assert_eq!((told.address, told.is_certain), (socket("192.0.2.1:7"), false));
        assert!(proxies.client(stranger, &HeaderMap::new()).is_certain);
        // Whom the proxy names once before the connection, no request renames.
        let named = Origin::Proxied(socket("192.0.2.1:7"));
        assert_eq!(proxies.client(named, &said).address, socket("192.0.2.1:7"));
    }
}
