//! Signs a new CRL of the root, which is the only routine reason to take the root out of its safe.

use super::crl::{next_terms, record};
use crate::ca::CaError;
use crate::ca::session::Session;
use crate::disk;
use crate::issuer::Root;
use crate::model::Authority;
use crate::x509::crl::{Crl, Terms};

/// Signs the root's CRL and puts it in its place in the home. A publication takes it from there.
///
/// # Errors
/// Where it cannot be signed, recorded or written.
pub fn sign_root_crl(session: &mut Session<'_>, root: &Root) -> Result<Terms, CaError> {
    let home = &session.desk.home;
    let place = home.root_crl_path();
    let there = disk::read_if_there(&place)?;
    let there = there.as_deref().and_then(|der| Crl::parse(der).ok());
    let standing = there
        .filter(|crl| crl.is_issued_by(root.certificate()))
        .map(|crl| crl.terms());
    let life = home.config().root_crl_life;
    let terms = next_terms(session, Authority::Root, root.certificate(), standing, life)?;
    let der = root.sign_crl(terms, &[])?;
    record(session, Authority::Root, terms, 0, &der)?;
    disk::replace(&place, disk::PRIVATE_FILE, &der)?;
    Ok(terms)
}
