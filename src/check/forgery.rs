//! What an attacker would show: certificates of a CA that has the names of ours, and is not.

use rand_core::CryptoRng;
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::client::Identity;
use crate::authority::{AuthorityError, Chain, Issuing, Order, Root};
use crate::key::SoftwareKey;
use crate::model::event::KeySource;
use crate::model::profile::Names;
use crate::model::{Address, Draft, NameConstraints, Time};

/// Identities that no server may let in. Their keys are made here and end with the program.
#[derive(Debug)]
pub struct Forged {
    /// A device's certificate by a CA of the same names as ours.
    pub by_namesake: Identity,
    /// A certificate that vouches for itself, with the name of our root.
    pub self_signed: Identity,
}

/// Why nothing could be forged.
#[derive(Debug, thiserror::Error)]
pub enum ForgeryError {
    /// The throw-away CA would not sign.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Policy would not draft.
    #[error(transparent)]
    Refused(#[from] crate::model::profile::Refusal),
    /// A key could not be handed over.
    #[error(transparent)]
    Key(#[from] crate::key::KeyError),
    /// The TLS library would not take a key.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// Forges certificates with the names of `ours`, or of some CA where there is none.
///
/// # Errors
/// Where the library refuses.
pub fn forge(ours: Option<&Chain>, now: Time, rng: &mut impl CryptoRng) -> Result<Forged, ForgeryError> {
    let organization = ours.map_or("pki check", |chain| &chain.issuer().organization);
    // Some must be there: no CA of ours is without. This name is nobody's (RFC 6761 §6.4).
    let nobody = NameConstraints {
        domains: vec!["pki-check.invalid".parse().expect("a domain of two labels")],
        ..NameConstraints::default()
    };
    let constraints = ours
        .and_then(|chain| chain.root().name_constraints())
        .unwrap_or(&nobody);
    let root = Root::create(organization, constraints, now, rng)?;
    let issuing_key = SoftwareKey::generate(rng);
    let chain = root.sign_issuing(issuing_key.public_key(), None, now, rng)?;
    let issuing = Issuing::open(chain, issuing_key, None)?;
    let key = SoftwareKey::generate(rng);
    let order = Order {
        draft: Draft::canary(Address::canary(), issuing.chain().issuer(), Names::Shown, now)?,
        public_key: key.public_key(),
        source: KeySource::Request,
        supersedes: Vec::new(),
    };
    let leaf = issuing.sign(order, rng)?.into_issued().certificate;
    let chain = issuing.chain();
    Ok(Forged {
        by_namesake: identity(
            vec![leaf, chain.issuing().der().to_vec(), chain.root().der().to_vec()],
            &key,
        )?,
        self_signed: identity(vec![chain.root().der().to_vec()], root.key())?,
    })
}

/// The identity of a chain and a key of ours.
///
/// # Errors
/// Where they do not belong together.
pub fn identity(chain: Vec<Vec<u8>>, key: &SoftwareKey) -> Result<Identity, ForgeryError> {
    // Whoever finds the copy in a dead process's memory has the key of a certificate that is revoked or nobody's.
    let key = PrivatePkcs8KeyDer::from(key.pkcs8()?.to_vec());
    Ok(Identity::new(chain, key.into())?)
}
