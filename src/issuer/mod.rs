//! The CAs, and the powers of each to sign. The root, the devices' CA and the servers' CA are different
//! types, because they have different powers. What they sign comes out as types that nobody else can make.

mod chain;
mod devices;
mod error;
mod root;
mod servers;
mod subordinate;

pub use chain::Chain;
pub use devices::{Devices, Order, Signed};
pub use error::IssuerError;
pub use root::Root;
pub use servers::{Servers, SignedServer};

use crate::model::Authority;

/// Whom a CA is, in errors.
fn name(authority: Authority) -> &'static str {
    match authority {
        Authority::Root => "root",
        Authority::Issuing => "issuing CA",
        Authority::Servers => "servers' CA",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Broken, Gone, Signer, SoftwareKey, os_rng};
    use crate::model::event::KeySource;
    use crate::model::profile::Names;
    use crate::model::{Address, Draft, NameConstraints, Span, Time};
    use crate::x509::{X509Error, crl};

    fn now() -> Time {
        Time::from_unix(1_800_000_000)
    }

    fn key() -> SoftwareKey {
        SoftwareKey::generate(&mut os_rng())
    }

    fn constraints() -> NameConstraints {
        NameConstraints {
            domains: vec!["acme.example".parse().unwrap()],
            ..NameConstraints::default()
        }
    }

    fn root(key: impl Signer + 'static) -> Result<Root, IssuerError> {
        let begun = now() - Span::days(1);
        Root::create(key, "Acme Ltd", Some(&constraints()), begun, &mut os_rng())
    }

    /// What of its work a devices' CA with this key refuses: certificate, CRL, statement.
    fn refusals(key: impl Signer + 'static) -> [bool; 3] {
        let root = root(self::key()).unwrap();
        let chain = root.sign_issuing(key.public_key(), &constraints(), None, now(), &mut os_rng());
        let devices = Devices::open(chain.unwrap(), key, None).unwrap();
        let device = self::key();
        let order = Order {
            draft: Draft::canary(Address::canary(), devices.chain().issuer(), Names::Shown, now()).unwrap(),
            public_key: device.public_key(),
            source: KeySource::Request,
            supersedes: Vec::new(),
            enrolled_by: None,
        };
        let terms = crl::Terms {
            number: 1,
            this_update: now(),
            next_update: now() + Span::days(30),
        };
        let is_refused = |error| {
            matches!(
                error,
                IssuerError::Signing(_) | IssuerError::X509(X509Error::Signing(_))
            )
        };
        [
            devices.sign(order, &mut os_rng()).is_err_and(is_refused),
            devices.sign_crl(terms, &[]).is_err_and(is_refused),
            devices
                .sign_statement("pki-manifest+jws", b"{}")
                .is_err_and(is_refused),
        ]
    }

    #[test]
    fn a_key_that_fails_or_errs_gives_an_error_and_nothing_else() {
        assert_eq!(refusals(key()), [false; 3]);
        assert_eq!(refusals(Broken(key())), [true; 3]);
        assert_eq!(refusals(Gone(key())), [true; 3]);
        assert!(root(Broken(key())).is_err() && root(Gone(key())).is_err());
    }
}
