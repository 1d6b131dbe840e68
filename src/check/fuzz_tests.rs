//! What comes of what a damaged or hostile server says: a refusal, or an answer within bounds.

use std::io::{self, Read, Write};

use super::client::certificate;
use super::client::http;
use super::client::http::{Extent, Kept, SAMPLE};
use super::client::http2;
use super::client::request::Request;
use super::client::url::Url;
use super::client::version::Version;
use super::client::witness::Shown;
use super::meet::chain::{self, Trust};
use super::offers::server_hello::{self, Answer};
use super::question::likeness;
use crate::fuzz::{self, seeds};

/// Says this, whatever is said to it.
struct Saying<'a>(&'a [u8]);

impl Read for Saying<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Saying<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn url() -> Url {
    "https://api.acme.example/v1".parse().unwrap()
}

#[test]
fn answers_by_http1() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "HTTP/1.0 302 Found\nLocation: /login\n\n",
    ];
    let request = Request::usual(&url());
    fuzz::damaged(&answers, |octets| {
        let read = [Extent::Head, Extent::Beginning, Extent::Whole]
            .map(|extent| http::ask(&mut Saying(octets), &request, extent));
        for (sample, _) in read.iter().flatten() {
            assert!(sample.body.len() <= SAMPLE.min(octets.len()));
            assert!(sample.status < 1000);
        }
        read.iter().all(Result::is_ok)
    });
}

#[test]
fn answers_by_http2() {
    let frame = |kind, flags, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let settings = frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]);
    let ping = frame(6, 0, 0, &[7; 8]);
    let leave = frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
    // RFC 7541: 200 by its place, 302 in Huffman's code, 103 in the clear.
    let ok = frame(1, 4, 1, &[0x88]);
    let padded = frame(1, 0x28, 1, &[2, 0, 0, 0, 0, 0, 0x48, 0x82, 0x64, 0x02, 0, 0]);
    let rest = frame(9, 4, 1, &[]);
    let early = frame(1, 4, 1, b"\x08\x03103");
    let body = frame(0, 0, 1, b"hello");
    let end = frame(0, 9, 1, b"\x02ok\0\0");
    let answers = [
        [settings.clone(), ping, ok.clone(), body.clone(), end.clone()].concat(),
        [settings, leave, early, padded, rest, body, end].concat(),
    ];
    let request = Request::usual(&url());
    fuzz::damaged(&answers, |octets| {
        http2::ask(&mut Saying(octets), &request, 0).is_ok_and(|(sample, kept)| {
            assert!(sample.body.len() <= SAMPLE.min(octets.len()));
            assert!(sample.status < 1000 && kept != Kept::Unread);
            true
        })
    });
}

/// A record of TLS with a message of a handshake.
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = |octets: usize| u16::try_from(octets).unwrap().to_be_bytes();
    let message = [&[kind, 0][..], &length(body.len()), body].concat();
    [&[22, 3, 3][..], &length(message.len()), &message].concat()
}

#[test]
fn answers_to_a_client_hello() {
    let hello = |version: u16, suite: u16, extensions: &[u8]| {
        let length = u16::try_from(extensions.len()).unwrap();
        let body = [
            &[3, 3][..],
            &[9; 32],
            &[2, 1, 1],
            &suite.to_be_bytes(),
            &[0],
            &length.to_be_bytes(),
            extensions,
        ];
        assert!(version == 0x0303 || !extensions.is_empty());
        record(2, &body.concat())
    };
    let der = seeds::foreign_certificate();
    let length = |octets: usize| u32::try_from(octets).unwrap().to_be_bytes()[1..].to_vec();
    let list = [length(der.len() + 3), length(der.len()), der].concat();
    let prime = [&[0, 8][..], &[0xff; 8], &[0, 1, 2, 0, 8], &[7; 8], &[0; 4]].concat();
    let flights = [
        hello(0x0304, 0x1301, &[0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0, 29]),
        [
            hello(0x0303, 0xc02f, &[0xff, 1, 0, 1, 0]),
            record(11, &list),
            record(12, &[3, 0, 23, 1, 4]),
            record(14, &[]),
        ]
        .concat(),
        [
            hello(0x0303, 0x009e, &[]),
            record(11, &list),
            record(12, &prime),
            record(14, &[]),
        ]
        .concat(),
        vec![21, 3, 3, 0, 2, 2, 40],
    ];
    fuzz::damaged(&flights, |octets| {
        let read = server_hello::read(&mut &*octets, server_hello::Extent::Flight);
        let hello = server_hello::read(&mut &*octets, server_hello::Extent::Hello);
        match (&read, &hello) {
            (Ok(Answer::Accepted(flight)), Ok(Answer::Accepted(hello))) => {
                assert_eq!((flight.version, flight.suite), (hello.version, hello.suite));
                let inside = |leaf: &Vec<u8>| leaf.len() <= octets.len();
                assert!(flight.leaf.as_ref().is_none_or(inside));
                assert!(flight.version == Version::Tls13.number() || hello.leaf.is_none());
            }
            (flight, hello) => assert_eq!(flight.as_ref().ok(), hello.as_ref().ok()),
        }
        read.is_ok_and(|answer| answer != Answer::NotTls)
    });
}

#[test]
fn certificates() {
    let mut company = seeds::Company::new();
    let mut all = company.certificates();
    all.push(seeds::foreign_certificate());
    let mut trust = Trust::default();
    trust.add(company.root.certificate().der());
    let (url, others) = (url(), all[1..3].to_vec());
    let server = all[4].clone();
    fuzz::damaged(&all, |der| {
        let leaf = Shown {
            leaf: der.to_vec(),
            others: others.clone(),
            unproved: None,
        };
        let judged = chain::judge(&leaf, &url, &trust, seeds::now());
        assert_eq!(judged.is_ok(), certificate::examine(der).is_ok());
        let above = Shown {
            leaf: server.clone(),
            others: vec![der.to_vec()],
            unproved: None,
        };
        assert!(chain::judge(&above, &url, &trust, seeds::now()).is_ok());
        Trust::default().add(der);
        assert_eq!(likeness::names(der).is_empty(), judged.is_err());
        judged.is_ok()
    });
}

#[test]
fn urls() {
    let urls = [
        "https://API.acme.example",
        "HTTPS://api.acme.example:8443/v1/me?x=1#there",
        "https://[2001:db8::1]:443/",
        "https://10.0.0.1/%20",
    ];
    fuzz::damaged_texts(&urls, |text| {
        text.parse::<Url>()
            .map_err(|why| assert!(!why.to_string().is_empty()))
            .is_ok_and(|url| {
                assert_eq!(
                    url.to_string().parse::<Url>().unwrap().to_string(),
                    url.to_string()
                );
                assert!(url.path().bytes().all(|octet| octet.is_ascii_graphic()));
                true
            })
    });
}
