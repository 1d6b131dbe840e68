//! The errors of what goes over the network: `fetch`, the service, and the renewal at one.

use super::*;

pub fn fetches() -> Vec<Line> {
    use FetchError as E;
    use SourceError as S;
    use Trouble as T;
    let source = |why| E::Source { file: text(), why };
    let unfit = |why| E::Refused { file: text(), why };
    let pinned = || {
        Box::new(Pinned {
            pin: Pin([0; 32]),
            role: Role::Active,
            since: time(),
        })
    };
    let certificate = || Box::new(Contents::of(b"-----BEGIN CERTIFICATE-----"));
    let several = || Serials([serial(), Serial::from_octets(&[1; 16]).unwrap()].into());
    table!(FetchError {
        E::Disk(_) = E::Disk(disk()) => "disk", Refused;
        E::Root { .. } = E::Root { path: shown(), why: x509() } => "root", Refused;
        E::NoRoot { .. } = E::NoRoot { path: shown(), why: text() } => "root", Refused;
        E::RootCrl { .. } = E::RootCrl { path: shown(), why: Unfit::Ended(time()) } => "root-crl", Refused;
        E::OtherRoot(_) = E::OtherRoot(shown()) => "other-root", Refused;
        E::OtherArea { .. } = E::OtherArea { out: shown(), holds: Area::Public, wanted: Area::Server } => "area", Refused;
        E::Taken { .. } = E::Taken { out: shown(), what: "a file" } => "place", Refused;
        E::InHome { .. } = E::InHome { out: shown(), home: shown() } => "place", Refused;
        E::HomeInside { .. } = E::HomeInside { out: shown(), home: shown() } => "place", Refused;
        E::NoName(_) = E::NoName(shown()) => "place", Refused;
        E::Forgotten { .. } = E::Forgotten { state: shown(), why: text() } => "state", Refused;
        E::Busy { .. } = E::Busy { out: shown(), waited: Duration::ZERO } => "busy", Refused;
        E::Directory(_) = E::Directory(disk()) => "disk", Refused;
        E::Directory(_) = E::Directory(disk_of(io::ErrorKind::Other)) => "disk", Refused;
        E::Torn { .. } = E::Torn { file: text(), why: text(), tries: 3 } => "torn", Refused;
        E::Source { why: S::Missing, .. } = source(S::Missing) => "source", Refused;
        E::Source { why: S::Disk(_), .. } = source(S::Disk(disk())) => "source", Refused;
        E::Source { why: S::Status(_), .. } = source(S::Status(500)) => "source", Refused;
        E::Source { why: S::Redirect { .. }, .. } = source(S::Redirect { to: text(), why: "no" }) => "source", Refused;
        E::Source { why: S::Slow(_), .. } = source(S::Slow(text())) => "source", Refused;
        E::Source { why: S::TooLong(_), .. } = source(S::TooLong(1)) => "source", Refused;
        E::Source { why: S::NoTrust(_), .. } = source(S::NoTrust(NoTrust::System(text()))) => "source", Refused;
        E::Source { why: S::NoTrust(_), .. } = source(S::NoTrust(NoTrust::Disk(disk()))) => "source", Refused;
        E::Source { why: S::NoTrust(_), .. } = source(S::NoTrust(NoTrust::File { path: shown(), why: text(), contents: certificate() })) => "source", Refused;
        E::Source { why: S::Network(_), .. } = source(S::Network(T::NoAddress { host: text(), why: text() })) => "source", Refused;
        E::Source { why: S::Network(_), .. } = source(S::Network(T::NobodyListens(text()))) => "source", Refused;
        E::Source { why: S::Network(_), .. } = source(S::Network(T::Untrusted { whose: text(), ca: None })) => "source", Refused;
        E::Source { why: S::Network(_), .. } = source(S::Network(T::Untrusted { whose: text(), ca: Some(shown()) })) => "source", Refused;
        E::Source { why: S::Network(_), .. } = source(S::Network(T::OtherHost { host: text(), named: Vec::new() })) => "source", Refused;
        E::Source { why: S::Network(_), .. } = source(S::Network(T::Ended(time()))) => "source", Refused;
        E::Source { why: S::Network(_), .. } = source(S::Network(T::NotYet(time()))) => "source", Refused;
        E::Source { why: S::Network(_), .. } = source(S::Network(T::Unfit(text()))) => "source", Refused;
        E::Source { why: S::Network(_), .. } = source(S::Network(T::NotTls(text()))) => "source", Refused;
        E::Source { why: S::Network(_), .. } = source(S::Network(T::Alert(text()))) => "source", Refused;
        E::Source { why: S::Network(_), .. } = source(S::Network(T::Broken(text()))) => "source", Refused;
        E::Refused { why: Unfit::Statement(_), .. } = unfit(Unfit::Statement(InvalidStatement::Form)) => "publication", Refused;
        E::Refused { why: Unfit::Statement(_), .. } = unfit(Unfit::Statement(InvalidStatement::OtherRoot { signer: text(), root: text() })) => "publication", Refused;
        E::Refused { why: Unfit::Unreadable(_), .. } = unfit(Unfit::Unreadable(text())) => "publication", Refused;
        E::Refused { why: Unfit::Version(_), .. } = unfit(Unfit::Version(2)) => "publication", Refused;
        E::Refused { why: Unfit::Area { .. }, .. } = unfit(Unfit::Area { is: Area::Public, wanted: Area::Server }) => "publication", Refused;
        E::Refused { why: Unfit::Older { .. }, .. } = unfit(Unfit::Older { number: 1, seen: 2 }) => "publication", Refused;
        E::Refused { why: Unfit::SameNumber(_), .. } = unfit(Unfit::SameNumber(1)) => "publication", Refused;
        E::Refused { why: Unfit::Unrevoked { .. }, .. } = unfit(Unfit::Unrevoked { serials: serials(), number: 1, rest: None }) => "publication", Refused;
        E::Refused { why: Unfit::Unrevoked { .. }, .. } = unfit(Unfit::Unrevoked { serials: several(), number: 1, rest: Some(Span::days(99)) }) => "publication", Refused;
        E::Refused { why: Unfit::FewerRevoked { .. }, .. } = unfit(Unfit::FewerRevoked { were: 2, are: 1, number: 1 }) => "publication", Refused;
        E::Refused { why: Unfit::Readmitted { .. }, .. } = unfit(Unfit::Readmitted { serials: serials(), number: 1 }) => "publication", Refused;
        E::Refused { why: Unfit::Abandoned { .. }, .. } = unfit(Unfit::Abandoned { ca: None, serials: serials(), number: 1 }) => "publication", Refused;
        E::Refused { why: Unfit::PinBack { .. }, .. } = unfit(Unfit::PinBack { host: host(), pinned: pinned(), number: 1 }) => "publication", Refused;
        E::Refused { why: Unfit::SetBack { .. }, .. } = unfit(Unfit::SetBack { seen: 2, events: 1 }) => "publication", Refused;
        E::Refused { why: Unfit::OtherLedger, .. } = unfit(Unfit::OtherLedger) => "publication", Refused;
        E::Refused { why: Unfit::NoHistory(_), .. } = unfit(Unfit::NoHistory(1)) => "publication", Refused;
        E::Refused { why: Unfit::Ended(_), .. } = unfit(Unfit::Ended(time())) => "publication", Refused;
        E::Refused { why: Unfit::NotYet(_), .. } = unfit(Unfit::NotYet(time())) => "publication", Refused;
        E::Refused { why: Unfit::Stray { .. }, .. } = unfit(Unfit::Stray { path: text(), area: Area::Public }) => "publication", Refused;
        E::Refused { why: Unfit::NotListed(_), .. } = unfit(Unfit::NotListed("crl")) => "publication", Refused;
        E::Refused { why: Unfit::TooLong { .. }, .. } = unfit(Unfit::TooLong { file: text(), size: 2, longest: 1 }) => "publication", Refused;
        E::Refused { why: Unfit::Differs(_), .. } = unfit(Unfit::Differs("that")) => "publication", Refused;
        E::Refused { why: Unfit::NotSignedBy(_), .. } = unfit(Unfit::NotSignedBy("the root")) => "publication", Refused;
        E::Refused { why: Unfit::Line(_), .. } = unfit(Unfit::Line(1)) => "publication", Refused;
    })
}

pub fn services() -> Vec<Line> {
    use ServeError as E;
    let address = || "127.0.0.1:1".parse().unwrap();
    let io = || io::Error::from(io::ErrorKind::InvalidInput);
    table!(ServeError {
        E::NoAcmeHost = E::NoAcmeHost => "not-configured", Refused;
        E::AcmeWithoutKey = E::AcmeWithoutKey => "not-configured", Refused;
        E::TwoHosts(..) = E::TwoHosts(host(), host()) => "not-configured", Refused;
        E::NoFace = E::NoFace => "not-configured", Refused;
        E::NoHost = E::NoHost => "not-configured", Refused;
        E::NoPageCertificate = E::NoPageCertificate => "not-configured", Refused;
        E::NoDeviceHost = E::NoDeviceHost => "not-configured", Refused;
        E::NoServersCa { .. } = E::NoServersCa { host: host(), is_known: true } => "not-configured", Refused;
        E::NoServersCa { .. } = E::NoServersCa { host: host(), is_known: false } => "not-configured", Refused;
        E::PageCertificate { .. } = E::PageCertificate { path: shown(), why: text() } => "page-certificate", Refused;
        E::ForeignSocket(_) = E::ForeignSocket(text()) => "socket", Refused;
        E::Socket { .. } = E::Socket { face: "page", why: io() } => "socket", Refused;
        E::Listen { .. } = E::Listen { face: "page", address: address(), why: io() } => "address", Refused;
        E::Runtime(_) = E::Runtime(io()) => "threads", Refused;
        E::Stopped = E::Stopped => "stopped", Bug;
        E::Home(_) = E::Home(CaError::from(disk())) => "disk", Refused;
    })
}

pub fn credentials() -> Vec<Line> {
    use CredentialError as E;
    let key = |why| E::Key { path: shown(), why };
    table!(CredentialError {
        E::Disk(_) = E::Disk(disk()) => "disk", Refused;
        E::Exposed(_) = E::Exposed(Exposed::new("/there".as_ref(), 0o777)) => "exposed", Refused;
        E::Key { .. } = key(KeyError::WrongPassphrase) => "wrong-passphrase", Secret;
        E::Key { .. } = key(KeyError::NoThreads(text())) => "threads", Refused;
        E::Key { .. } = key(KeyError::NotP256) => "key", Refused;
        E::Bundle(_) = E::Bundle(shown()) => "bundle", Refused;
        E::Certificate { .. } = E::Certificate { path: shown(), why: x509() } => "certificate", Refused;
        E::Together(_) = E::Together(shown()) => "together", Refused;
        E::Mismatch { .. } = E::Mismatch { key: shown(), certificate: shown() } => "mismatch", Refused;
    })
}

pub fn renewals() -> Vec<Line> {
    use crate::reenroll::Unfit as U;
    use ReenrollError as E;
    let unfit = |why| E::Unfit { url: text(), why };
    let file = || NoTrust::File {
        path: shown(),
        why: text(),
        contents: Box::new(Contents::of(b"-----BEGIN CERTIFICATE-----")),
    };
    let network = |why| E::Network { url: text(), why };
    let refused = |kept| E::Refused {
        url: text(),
        status: 403,
        told: text(),
        kept,
    };
    table!(ReenrollError {
        E::Disk(_) = E::Disk(disk()) => "disk", Refused;
        E::Credential(_) = E::Credential(CredentialError::Together(shown())) => "together", Refused;
        E::Stray(_) = E::Stray(shown()) => "stray", Refused;
        E::Root { .. } = E::Root { path: shown(), why: text() } => "root", Refused;
        E::NoTrust(_) = E::NoTrust(file()) => "root", Refused;
        E::Busy { .. } = E::Busy { directory: shown(), waited: Duration::ZERO } => "busy", Refused;
        E::Network { .. } = network(Trouble::Untrusted { whose: text(), ca: Some(shown()) }) => "service", Refused;
        E::Network { .. } = network(Trouble::Alert(text())) => "service", Refused;
        E::Network { .. } = network(Trouble::Ended(time())) => "service", Refused;
        E::Network { .. } = network(Trouble::Unfit(text())) => "service", Refused;
        E::Network { .. } = network(Trouble::NobodyListens(text())) => "service", Refused;
        E::Slow { .. } = E::Slow { url: text(), why: text() } => "service", Refused;
        E::Unavailable { .. } = E::Unavailable { url: text(), status: 503, told: text() } => "service", Refused;
        E::Refused { kept: None, .. } = refused(None) => "refused", Refused;
        E::Refused { kept: Some(_), .. } = refused(Some(shown())) => "refused", Refused;
        E::Unfit { why: U::NotBase64, .. } = unfit(U::NotBase64) => "answer", Refused;
        E::Unfit { why: U::Unreadable(_), .. } = unfit(U::Unreadable(x509())) => "answer", Refused;
        E::Unfit { why: U::OtherKey(_), .. } = unfit(U::OtherKey(1)) => "answer", Refused;
        E::Unfit { why: U::OtherDevice { .. }, .. } = unfit(U::OtherDevice { is: text(), own: text() }) => "answer", Refused;
        E::Unfit { why: U::NotForClients, .. } = unfit(U::NotForClients) => "answer", Refused;
        E::Unfit { why: U::Issuer { .. }, .. } = unfit(U::Issuer { issuer: text() }) => "answer", Refused;
        E::Unfit { why: U::Ended(_), .. } = unfit(U::Ended(time())) => "answer", Refused;
        E::Unfit { why: U::NotYet(_), .. } = unfit(U::NotYet(time())) => "answer", Refused;
        E::Request(_) = E::Request(x509()) => "request", Bug;
    })
}
