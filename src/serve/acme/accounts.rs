//! Accounts: bound to the client that shows their MAC key, read, given a new key, and given up (RFC 8555
//! §7.3).

use std::net::IpAddr;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::asking::{Asking, read};
use super::jws::{Flattened, Jws, Signer};
use super::problem::Problem;
use super::register::Account;
use super::{Shared, among_signers};
use crate::ca::AcmeRequest;
use crate::key::Jwk;
use crate::model::AccountId;
use crate::serve::limits::{network, recorded};
use crate::serve::outcome::Outcome;

/// What a new account is asked for with (RFC 8555 §7.3).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewAccount {
    #[serde(default)]
    only_return_existing: bool,
    external_account_binding: Option<Flattened>,
}

/// Binds an account to the key of a client that shows its MAC key, or says which account the key has.
pub async fn new_account(
    shared: &Shared,
    address: IpAddr,
    key: &Jwk,
    payload: &[u8],
) -> Result<Response, Problem> {
    let asked: NewAccount = read(payload)?;
    if let Some(account) = shared.register.account_by_key(key.text()).await? {
        return Ok(shared.objects.account(&account.known, StatusCode::OK));
    }
    if asked.only_return_existing {
        let detail = "no account has this key";
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "accountDoesNotExist",
            detail,
        ));
    }
    let Some(binding) = asked.external_account_binding else {
        let detail = "an operator grants an account with `pki server acme HOST`: bind the client to it by key identifier and MAC key (certbot: --eab-kid, --eab-hmac-key)";
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "externalAccountRequired",
            detail,
        ));
    };
    let message = "too many wrong keys came from this address: wait ten minutes";
    if shared.wrong.demand_few(&network(address), message).is_err() {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rateLimited",
            message,
        ));
    }
    let binding = Jws::of(binding)?;
    let claimed: Option<AccountId> = match &binding.signer {
        Signer::Named(kid) => kid.parse().ok(),
        Signer::Key(_) => None,
    };
    let account = match bound(shared, address, key, binding).await? {
        Some(account) => account,
        None => {
            shared.wrong.count(network(address));
            let detail = "the external account binding is by no account here, or not by its MAC key";
            // Of many servers an operator finds the one that was given the wrong lines.
            let told = match claimed {
                Some(kid) => format!("{detail}: {kid}"),
                None => detail.to_owned(),
            };
            shared
                .counter
                .tell(Outcome::of_refused_acme(None, &recorded(address), &told));
            return Err(Problem::unauthorized(detail));
        }
    };
    let grant = account.known.grant.clone();
    let bound = account.binding(key);
    shared
        .ask(AcmeRequest::Bind(grant, bound), recorded(address))
        .await?;
    Ok(shared.objects.account(&account.known, StatusCode::CREATED))
}

/// The account that a binding is for (RFC 8555 §7.3.4); none where it is not by its MAC key.
///
/// # Errors
/// Where the binding is not of the form that it must have, or the account's secret does not open.
async fn bound(
    shared: &Shared,
    address: IpAddr,
    key: &Jwk,
    binding: Jws,
) -> Result<Option<Account>, Problem> {
    if binding.algorithm != "HS256" {
        return Err(Problem::algorithm(&["HS256"]));
    }
    shared.demand_for("/acme/new-account", binding.url.as_deref())?;
    let Signer::Named(kid) = &binding.signer else {
        return Err(Problem::malformed(
            "the external account binding names no account by kid",
        ));
    };
    if binding.nonce.is_some() {
        return Err(Problem::malformed("the external account binding has a nonce"));
    }
    let inner = std::str::from_utf8(&binding.payload).ok();
    if inner.and_then(|inner| Jwk::parse(inner).ok()).as_ref() != Some(key) {
        return Err(Problem::malformed(
            "the external account binding is not over the key of the request",
        ));
    }
    let Ok(id) = kid.parse() else {
        return Ok(None);
    };
    let account = shared.register.account(id).await.inspect_err(|_| {
        // Nobody knows whether it is by the MAC key, so that it counts as if it were not.
        shared.wrong.count(network(address));
    })?;
    Ok(account.filter(|account| {
        let key = account.secret.mac_key(id);
        account.known.ended.is_none() && binding.is_authenticated_by(&key)
    }))
}

/// What an account is asked to become (RFC 8555 §7.3.2 and §7.3.6). Contacts are taken and not kept.
#[derive(Deserialize)]
struct Update {
    status: Option<String>,
}

/// Shows an account, and gives it up where that is asked for.
pub async fn account(shared: &Shared, asking: Asking) -> Result<Response, Problem> {
    let status = match asking.payload.is_empty() {
        true => None,
        false => asking.payload::<Update>()?.status,
    };
    let mut known = asking.account.known.clone();
    match status.as_deref() {
        None | Some("valid") => {}
        Some("deactivated") => {
            let request = AcmeRequest::Deactivate(known.grant.clone(), asking.key);
            shared.ask(request, asking.from).await?;
            known.ended = Some((shared.desk.clock)());
        }
        Some(_) => {
            return Err(Problem::malformed(
                "an account can be deactivated, and nothing else",
            ));
        }
    }
    Ok(shared.objects.account(&known, StatusCode::OK))
}

/// What a new key of an account says (RFC 8555 §7.3.5).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyChange {
    account: String,
    old_key: serde_json::Value,
}

/// Gives an account a new key, which both the old and the new one have signed.
pub async fn change_key(shared: &Shared, asking: Asking) -> Result<Response, Problem> {
    let too_many = || {
        let detail = "this account has changed its key ten times in a day: go on with the one that it has";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "rateLimited", detail)
    };
    // Looked at first: to verify a signature takes longer.
    if shared.key_changes.is_spent(asking.id(), (shared.desk.clock)()) {
        return Err(too_many());
    }
    let inner = Jws::of(asking.payload()?)?;
    inner.demand_known_algorithm()?;
    shared.demand_for("/acme/key-change", inner.url.as_deref())?;
    let Signer::Key(next) = &inner.signer else {
        return Err(Problem::malformed("the inner JWS does not bring its key by jwk"));
    };
    let next = (**next).clone();
    let said: KeyChange = read(&inner.payload)?;
    let signed = among_signers({
        let next = next.clone();
        move || inner.demand_signed_by(&next)
    });
    signed.await.map_err(|_| Problem::unavailable())??;
    let old = Jwk::parse(&said.old_key.to_string()).ok();
    if old.is_none_or(|old| old.text() != asking.key.jwk)
        || shared.objects.account_in(&said.account) != Some(asking.id())
    {
        return Err(Problem::malformed(
            "the inner JWS does not name this account and its present key",
        ));
    }
    if let Some(other) = shared.register.account_by_key(next.text()).await? {
        let mut problem = Problem::new(
            StatusCode::CONFLICT,
            "malformed",
            "the new key is another account's",
        );
        problem.location = Some(shared.objects.account_url(other.known.grant.account));
        return Err(problem);
    }
    let grant = asking.account.known.grant.clone();
    let key = asking.account.binding(&next);
    // Whatever is refused before is not counted: it changes nothing.
    if !shared.key_changes.spend(asking.id(), (shared.desk.clock)()) {
        return Err(too_many());
    }
    let request = AcmeRequest::ChangeKey(grant, asking.key, key);
    shared.ask(request, asking.from).await?;
    Ok(shared.objects.account(&asking.account.known, StatusCode::OK))
}
