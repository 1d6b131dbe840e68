//! Founds the servers' CA: its key first, then its certificate by the root, then the event in the ledger.
//! Each step finds what an earlier one has left, so that a kill between them costs nothing; the key is never
//! made twice.

use std::io::ErrorKind;
use std::path::PathBuf;

use data_encoding::HEXUPPER;

use crate::ca::CaError;
use crate::ca::key_file::seal;
use crate::ca::publishing::own_places;
use crate::ca::session::Session;
use crate::disk::{self, Shown};
use crate::home::Home;
use crate::issuer::{Chain, IssuerError, Root, Servers};
use crate::key::{Passphrase, SoftwareKey, os_rng};
use crate::model::{Authority, Fact, Host};
use crate::publish::{Area, Hashes};
use crate::x509::{Certificate, request};

/// The key of the servers' CA: the one that the home has, or a new one, kept there encrypted. Takes as long
/// as scrypt does: not to be done under the lock.
///
/// # Errors
/// Where it cannot be read, opened, made or written.
pub fn servers_key(home: &Home, passphrase: &Passphrase) -> Result<SoftwareKey, CaError> {
    let path = home.key_path(Authority::Servers);
    if !path.exists() {
        let key = SoftwareKey::generate(&mut os_rng());
        let sealed = seal(&key, passphrase)?;
        let directory = home.path().join("servers");
        disk::ensure_directory(&directory, disk::PRIVATE_DIRECTORY)?;
        disk::sync_directory(home.path())?;
        match disk::create_private(&path, sealed.as_bytes()) {
            Ok(()) => return Ok(key),
            // Another process was faster: its key is the one.
            Err(error) if error.source.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    let pem = home.key(Authority::Servers)?;
    let failed = |why| CaError::Key {
        path: Shown(path),
        why,
    };
    SoftwareKey::decrypt(&pem, passphrase).map_err(failed)
}

/// The request (CSR) for the certificate of the servers' CA, PEM: for a root that is elsewhere.
///
/// # Errors
/// Where the library fails to write it.
pub fn servers_request(key: &SoftwareKey) -> Result<String, CaError> {
    Ok(request::create(None::<&Host>, key).map_err(IssuerError::X509)?)
}

/// The servers' CA of this root that is published and that the home has not: its place and its serial number.
/// A home from a backup of before it was made would make another one, whose CRL does not know what the first
/// has revoked.
///
/// # Errors
/// Where the places of pki.toml cannot be looked for.
pub fn published_servers_ca(home: &Home) -> Result<Option<(Shown, String)>, CaError> {
    let own = home.servers().map(|chain| chain.ca().public_key());
    let (places, _) = own_places(home, &Hashes::default())?;
    for place in places.into_iter().filter(|place| place.to.area == Area::Public) {
        // A place that cannot be read is told when it cannot be written.
        let Some(der) = place.to.servers_ca().unwrap_or_default() else {
            continue;
        };
        let certificate = Certificate::from_der(&der).ok();
        let chain = certificate.and_then(|certificate| servers_chain(home, certificate).ok());
        if let Some(other) = chain.filter(|chain| own != Some(chain.ca().public_key())) {
            let serial = HEXUPPER.encode(other.ca().serial());
            return Ok(Some((Shown(place.to.path), serial)));
        }
    }
    Ok(None)
}

/// Has the root sign the certificate of the servers' CA, and records that.
///
/// # Errors
/// Where the root refuses, or it cannot be written or recorded.
pub fn found_servers(session: &mut Session<'_>, root: &Root, key: &SoftwareKey) -> Result<Chain, CaError> {
    let home = &session.desk.home;
    let chain = match home.servers() {
        // Its certificate was written, and then a kill came before the ledger.
        Some(chain) => chain.clone(),
        None => {
            let base_url = home.config().base_url.as_deref();
            root.sign_servers(
                key.public_key(),
                Some(home.chain().permitted()),
                base_url,
                session.now,
                &mut os_rng(),
            )?
        }
    };
    install_servers(session, chain, key)
}

/// Installs the certificate of the servers' CA, and records that.
///
/// # Errors
/// Where it is not the certificate of this key by this root, with what the home permits, or cannot be written
/// or recorded.
pub fn install_servers(session: &mut Session<'_>, chain: Chain, key: &SoftwareKey) -> Result<Chain, CaError> {
    if chain.ca().public_key() != key.public_key() {
        return Err(IssuerError::KeyMismatch("servers' CA").into());
    }
    record_servers(session, &chain)?;
    Ok(chain)
}

/// Records the servers' CA, unless that was done before: a kill may have come between its certificate and the
/// ledger.
pub(in crate::ca) fn record_servers(session: &mut Session<'_>, chain: &Chain) -> Result<(), CaError> {
    let home = &session.desk.home;
    let certificate = chain.ca();
    if certificate.public_key() == home.chain().ca().public_key() {
        return Err(IssuerError::SharedKey("issuing CA", "servers' CA").into());
    }
    let (inner, outer) = (certificate.validity(), chain.root().validity());
    let is_within = outer.not_before <= inner.not_before && inner.not_after <= outer.not_after;
    if chain.root() != home.chain().root()
        || certificate.organization() != chain.root().organization()
        || !is_within
    {
        return Err(IssuerError::NotOurs("servers' CA").into());
    }
    let (says, permitted) = (chain.permitted(), home.chain().permitted());
    // A root of before addresses were recorded may have given it what the root says itself.
    let is_like_root = permitted.any_address && says.says_the_same(permitted);
    if !says.says_the_same(&permitted.of_servers()) && !is_like_root {
        return Err(IssuerError::OtherNames.into());
    }
    if let Some(recorded) = session.store.servers_ca()? {
        return if recorded == certificate.der() {
            Ok(())
        } else {
            Err(CaError::Exists(Shown(certificate_path(home))))
        };
    }
    let place = certificate_path(home);
    disk::replace(&place, disk::PRIVATE_FILE, certificate.pem().as_bytes())?;
    session.commit(vec![Fact::ServersCa {
        certificate: certificate.der().to_vec(),
    }])
}

/// The chain of the servers' CA, from its certificate and the home's root.
///
/// # Errors
/// Where it is none of this root.
pub fn servers_chain(home: &Home, certificate: Certificate) -> Result<Chain, CaError> {
    Ok(Chain::of_servers(home.chain().root().clone(), certificate)?)
}

/// The servers' CA, ready to sign.
///
/// # Errors
/// Where key and certificate are not of one CA.
pub fn open_servers(home: &Home, chain: Chain, key: SoftwareKey) -> Result<Servers, CaError> {
    Ok(Servers::open(chain, key, home.config().base_url.clone())?)
}

fn certificate_path(home: &Home) -> PathBuf {
    home.path().join("servers/servers.crt")
}
