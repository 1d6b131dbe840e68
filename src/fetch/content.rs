//! Checks the contents of the files of a publication, beyond their being the files that were signed.
//!
//! A manifest proves that the CA has made them. The checks here prove that a server can go by them: all forms
//! of a certificate or CRL say the same, the CRLs are signed by the CAs themselves, in date and not older
//! than those seen.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;

use super::error::{FetchError, Unfit, local};
use super::listing::{Part, has};
use super::place::Version;
use super::state::{Seen, SeenCrl, State};
use super::terms::Ended;
use super::{pins, terms};
use crate::disk::DiskError;
use crate::model::{Address, Authority, Serial, Time};
use crate::publish::{
    ALLOWED, Area, DEVICES, LONGEST_CRL, Manifest, RECENT_ALLOWED, RECENT_DEVICES, REVOKED, Statement,
    allowed, revoked_serial,
};
use crate::x509::{Certificate, pem};

/// The numbers of the files that are to be stored in the state.
#[derive(Default)]
pub(super) struct Content {
    pub crls: BTreeMap<String, SeenCrl>,
    pub pins: Option<Seen>,
}

/// A file that breaks a rule.
pub(super) enum Fault {
    File(&'static str, Unfit),
    Disk(DiskError),
}

impl From<DiskError> for Fault {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl Fault {
    /// The error it makes, where files are called so.
    pub(super) fn named(self, name: impl Fn(&str) -> String) -> FetchError {
        match self {
            Self::File(path, why) => FetchError::Refused {
                file: name(path),
                why,
            },
            Self::Disk(error) => error.into(),
        }
    }
}

pub(super) struct Examination<'a> {
    pub version: &'a Version,
    pub manifest: &'a Manifest,
    pub statement: &'a Statement,
    pub root: &'a Certificate,
    pub seen: Option<&'a State>,
    pub now: Time,
}

/// Examines every file of a version.
pub(super) fn examine(examination: &Examination<'_>) -> Result<Content, Fault> {
    match examination.manifest.area {
        Area::Public => examination.public(),
        Area::Server => examination.server().map(|()| Content::default()),
    }
}

impl Examination<'_> {
    fn public(&self) -> Result<Content, Fault> {
        let issuing = self.statement.signer();
        let mut content = Content::default();
        let root_der = self.octets("crl/root.crl")?;
        let root_crl = self.crl(
            "root",
            "crl/root.crl",
            &root_der,
            self.root,
            "the root",
            &mut content,
        )?;
        self.statement
            .demand_unrevoked(&root_crl)
            .map_err(|why| Fault::File(Manifest::JWS, why.into()))?;
        let issuing_der = self.octets("crl/issuing.crl")?;
        let by_issuing = "the issuing CA that signed the manifest";
        self.crl(
            "issuing",
            "crl/issuing.crl",
            &issuing_der,
            issuing,
            by_issuing,
            &mut content,
        )?;

        let of = |der| pem::pieces(pem::CRL, der);
        self.demand("crl/root.pem", "crl/root.crl in PEM", of(&root_der))?;
        self.demand("crl/issuing.pem", "crl/issuing.crl in PEM", of(&issuing_der))?;
        let both = of(&issuing_der).chain(of(&root_der));
        self.demand("crl/bundle.pem", "the CRLs of issuing CA and root in PEM", both)?;
        let [root, given] = [self.root, issuing].map(Certificate::pem);
        self.demand("ca/root.der", "the root that was given", [self.root.der()])?;
        self.demand("ca/root.crt", "the root that was given", [&root])?;
        self.demand(
            "ca/issuing.der",
            "the CA that signed the manifest",
            [issuing.der()],
        )?;
        self.demand("ca/issuing.crt", "the CA that signed the manifest", [&given])?;
        self.demand("ca/bundle.pem", "root and issuing CA in PEM", [&root, &given])?;
        if has(self.manifest, Part::Servers) {
            self.servers(&mut content)?;
        }
        if has(self.manifest, Part::Pins) {
            let [json, jws] = [self.octets("pins/pins.json")?, self.octets("pins/pins.jws")?];
            let seen = self.seen.and_then(|state| state.pins.as_ref());
            let refused = |why| Fault::File("pins/pins.jws", why);
            let (statement, seen) = pins::examine(&json, &jws, self.root, seen, self.now).map_err(refused)?;
            statement
                .demand_unrevoked(&root_crl)
                .map_err(|why| refused(why.into()))?;
            content.pins = Some(seen);
        }
        Ok(content)
    }

    /// The servers' CA and its CRL.
    fn servers(&self, content: &mut Content) -> Result<(), Fault> {
        let refused = |why| Fault::File("ca/servers.der", why);
        let der = self.octets("ca/servers.der")?;
        let servers = Certificate::from_der(&der).map_err(|e| refused(Unfit::unreadable(e)))?;
        if !servers.is_ca_like(Authority::Servers) {
            return Err(refused(Unfit::Differs("a CA for servers")));
        }
        if !servers.is_issued_by(self.root) {
            return Err(refused(Unfit::NotSignedBy("the root that was given")));
        }
        self.demand("ca/servers.crt", "ca/servers.der in PEM", [servers.pem()])?;
        let crl = self.octets("crl/servers.crl")?;
        self.crl(
            "servers",
            "crl/servers.crl",
            &crl,
            &servers,
            "the servers' CA",
            content,
        )?;
        self.demand(
            "crl/servers.pem",
            "crl/servers.crl in PEM",
            pem::pieces(pem::CRL, &crl),
        )
    }

    fn crl<'d>(
        &self,
        name: &str,
        path: &'static str,
        der: &'d [u8],
        issuer: &Certificate,
        issuer_name: &'static str,
        content: &mut Content,
    ) -> Result<crate::x509::crl::Crl<'d>, Fault> {
        let seen = self.seen.and_then(|state| state.crl(name));
        let ended = if name == "servers" {
            Ended::Tolerated
        } else {
            Ended::Refused
        };
        let (crl, seen) = terms::examine(der, issuer, issuer_name, seen.as_ref(), (self.now, ended))
            .map_err(|why| Fault::File(path, why))?;
        content.crls.insert(name.to_owned(), seen);
        Ok(crl)
    }

    fn server(&self) -> Result<(), Fault> {
        self.lines(REVOKED, |line| revoked_serial(line).is_some())?;
        let devices = self.devices(DEVICES)?;
        let mut told = devices.iter();
        self.lines(ALLOWED, |line| {
            told.next().is_some_and(|told| allowed(line) == told.pair())
        })?;
        if told.next().is_some() {
            return Err(Fault::File(DEVICES, Unfit::Differs("what allowed.map says")));
        }
        if has(self.manifest, Part::Recent) {
            self.recent(&devices)?;
        }
        Ok(())
    }

    /// The short lists beside these: the one for programs says which certificates have changed, and the other
    /// has those of them that the long list does not name. nginx takes no line twice.
    fn recent(&self, devices: &[Device]) -> Result<(), Fault> {
        let named: HashSet<Serial> = devices.iter().map(|device| device.serial).collect();
        let recent = self.devices(RECENT_DEVICES)?;
        let mut added = recent.iter().filter(|told| !named.contains(&told.serial));
        self.lines(RECENT_ALLOWED, |line| {
            added.next().is_some_and(|told| allowed(line) == told.pair())
        })?;
        match added.next() {
            None => Ok(()),
            Some(_) => Err(Fault::File(
                RECENT_DEVICES,
                Unfit::Differs("what allowed-recent.map says"),
            )),
        }
    }

    /// A list of devices for programs.
    fn devices(&self, name: &'static str) -> Result<Vec<Device>, Fault> {
        let refused = |why| Fault::File(name, why);
        let path = self.version.path(name);
        let list = BufReader::new(self.open(name)?);
        let devices: Devices =
            serde_json::from_reader(list).map_err(|error| match error.io_error_kind() {
                Some(kind) => local(&path)(kind.into()).into(),
                None => refused(Unfit::unreadable(error)),
            })?;
        match devices.version {
            1 => Ok(devices.devices),
            other => Err(refused(Unfit::Version(other))),
        }
    }

    /// Makes sure that every line of a file is as it should be.
    fn lines(&self, path: &'static str, mut is_good: impl FnMut(&str) -> bool) -> Result<(), Fault> {
        /// The longest line: a serial number and an address.
        const LONGEST: u64 = 256;
        let mut reader = BufReader::with_capacity(1 << 16, self.open(path)?);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line);
            if read.map_err(local(&self.version.path(path)))? == 0 {
                break;
            }
            let text = line
                .strip_suffix(b"\n")
                .and_then(|line| std::str::from_utf8(line).ok());
            if !text.is_some_and(&mut is_good) {
                return Err(Fault::File(path, Unfit::Line(number)));
            }
        }
        Ok(())
    }

    fn open(&self, path: &'static str) -> Result<std::fs::File, Fault> {
        let file = self.version.file(path)?;
        file.ok_or_else(|| Fault::File(path, Unfit::Unreadable("it is missing".into())))
    }

    fn octets(&self, path: &'static str) -> Result<Vec<u8>, Fault> {
        let mut octets = Vec::new();
        let read = self.open(path)?.take(LONGEST_CRL).read_to_end(&mut octets);
        read.map_err(local(&self.version.path(path)))?;
        Ok(octets)
    }

    /// Makes sure that a file is these pieces, one after the other. It is not held as a whole.
    fn demand(
        &self,
        path: &'static str,
        what: &'static str,
        pieces: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<(), Fault> {
        let is_it = same(self.open(path)?, pieces).map_err(local(&self.version.path(path)))?;
        if is_it {
            Ok(())
        } else {
            Err(Fault::File(path, Unfit::Differs(what)))
        }
    }
}

/// `devices.json`, as far as it is held against `allowed.map`.
#[derive(Deserialize)]
struct Devices {
    version: u32,
    devices: Vec<Device>,
}

#[derive(Deserialize)]
struct Device {
    serial: Serial,
    address: Address,
}

impl Device {
    /// What `allowed.map` says of it.
    fn pair(&self) -> Option<(Serial, Address)> {
        Some((self.serial, self.address.clone()))
    }
}

/// Whether a reader gives exactly these pieces.
fn same(mut reader: impl Read, pieces: impl IntoIterator<Item: AsRef<[u8]>>) -> std::io::Result<bool> {
    let mut read = Vec::new();
    for piece in pieces {
        let piece = piece.as_ref();
        read.clear();
        reader.by_ref().take(piece.len() as u64).read_to_end(&mut read)?;
        if read != piece {
            return Ok(false);
        }
    }
    Ok(reader.read(&mut [0])? == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_pieces_and_nothing_else() {
        let is = |text: &str, pieces: &[&str]| same(text.as_bytes(), pieces).unwrap();
        assert!(is("abcd", &["ab", "cd"]) && is("abcd", &["a", "", "bcd"]) && is("", &[]));
        assert!(!is("abcd", &["ab", "c"]) && !is("abc", &["ab", "cd"]) && !is("abxd", &["ab", "cd"]));
    }
}
