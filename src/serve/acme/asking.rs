//! Who asks: a request is of an account, or of a key that it brings, only where that key has signed it for
//! where it came to, and nobody has sent it before (RFC 8555 §6).

use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use super::jws::{Jws, Signer};
use super::problem::Problem;
use super::register::Account;
use super::{Shared, among_signers};
use crate::ca::AcmeDenial;
use crate::key::Jwk;
use crate::model::AccountId;
use crate::model::acme::BoundKey;
use crate::serve::outcome::Outcome;

/// What an account asks for, verified.
pub struct Asking {
    pub account: Account,
    /// The key that has signed it, which is bound to the account.
    pub key: BoundKey,
    pub payload: Vec<u8>,
    /// The network that it comes from.
    pub from: String,
}

impl Asking {
    /// Which account asks.
    pub fn id(&self) -> AccountId {
        self.account.known.grant.account
    }

    /// The payload, read.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        read(&self.payload)
    }

    /// Demands that nothing is asked but to read (RFC 8555 §6.3).
    pub fn demand_empty(&self) -> Result<(), Problem> {
        match self.payload.is_empty() {
            true => Ok(()),
            false => Err(Problem::malformed(
                "what is only read is asked for with an empty payload",
            )),
        }
    }
}

/// A payload, read.
pub fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(payload)
        .map_err(|_| Problem::malformed("the payload is not what is expected here"))
}

impl Shared {
    /// Demands that a request is signed for where it came to (RFC 8555 §6.4).
    pub fn demand_for(&self, path: &str, url: Option<&str>) -> Result<(), Problem> {
        let own = self.objects.url(path);
        match url {
            Some(url) if url == own => Ok(()),
            Some(_) => Err(Problem::unauthorized(format!(
                "the request is signed for another URL than {own}, where it came to"
            ))),
            None => Err(Problem::malformed("the protected header has no url")),
        }
    }

    /// What a key says that brings itself.
    pub async fn by_key(&self, jws: Jws) -> Result<(Jwk, Vec<u8>), Problem> {
        let Signer::Key(key) = &jws.signer else {
            return Err(Problem::malformed(
                "this is signed by a key that the header names by jwk",
            ));
        };
        let key = (**key).clone();
        let payload = self.verified(jws, key.clone()).await?;
        Ok((key, payload))
    }

    /// What the client of an account says, which comes from this network. One whose account has ended is told
    /// so, and so is the log: somebody may have broken into it.
    pub async fn by_account(&self, jws: Jws, from: &str) -> Result<(Account, BoundKey, Vec<u8>), Problem> {
        let Signer::Named(kid) = &jws.signer else {
            return Err(Problem::malformed(
                "this is signed by an account that the header names by kid",
            ));
        };
        let unknown = || {
            let detail = "there is no such account";
            Problem::new(StatusCode::BAD_REQUEST, "accountDoesNotExist", detail)
        };
        let id = self.objects.account_in(kid).ok_or_else(unknown)?;
        let account = self.register.account(id).await?;
        let known = match &account {
            Some(account) => account.known.clone(),
            None => self.register.ended(id)?.ok_or_else(unknown)?,
        };
        let key = known.key.clone().ok_or_else(unknown)?;
        let jwk = Jwk::parse(&key.jwk).map_err(|_| unknown())?;
        // Whoever has not got the key learns nothing of it.
        let payload = self.verified(jws, jwk).await?;
        match account.filter(|account| account.known.ended.is_none()) {
            Some(account) => Ok((account, key, payload)),
            None => {
                let why = AcmeDenial::Ended(known.host().clone()).to_string();
                self.counter
                    .tell(Outcome::of_refused_acme(Some(&known.grant), from, &why));
                Err(Problem::unauthorized(why))
            }
        }
    }

    /// The payload of a JWS that this key has signed, and nobody has sent before. A nonce is used up by who
    /// may use it alone.
    async fn verified(&self, jws: Jws, key: Jwk) -> Result<Vec<u8>, Problem> {
        let bad = |detail| Problem::new(StatusCode::BAD_REQUEST, "badNonce", detail);
        let used = || bad("the nonce was used before, is too old, or was not made here");
        // Looked at first: to verify a signature takes longer.
        let nonce = jws.nonce.clone().ok_or_else(|| bad("the request has no nonce"))?;
        if !self.nonces.is_good(&nonce) {
            return Err(used());
        }
        let verified = among_signers(move || jws.demand_signed_by(&key).map(|()| jws)).await;
        let jws = verified.map_err(|_| Problem::unavailable())??;
        match self.nonces.take(&nonce) {
            true => Ok(jws.payload),
            false => Err(used()),
        }
    }
}
