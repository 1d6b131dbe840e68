//! ACME (RFC 8555): the door by which the company's own servers order their certificates. Nobody proves that
//! a name is his by a challenge: an operator has granted it to the account, so that authorizations are valid
//! at once, and nothing is dialled.

mod certify;
#[cfg(test)]
mod fuzz_tests;
mod jws;
mod nonces;
mod objects;
mod orders;
mod problem;
mod register;
mod renewal;

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::body;
use super::clerk::{AskedAcme, Counter};
use super::limits::{Failures, network, recorded};
use super::monitor::{self, Monitor};
use super::outcome::Outcome;
use super::proxy::Client;
use super::request::among_signers;
use crate::ca::{AcmeDenial, AcmeDone, AcmeRequest, CaError, Desk};
use crate::home::config::ACME_DIRECTORY;
use crate::issuer::Chain;
use crate::key::{Jwk, Passphrase};
use crate::model::acme::BoundKey;
use crate::model::{AccountId, Serial};
use jws::{Flattened, Jws, Signer};
use nonces::Nonces;
use objects::Objects;
use orders::{OrderId, Orders};
use problem::Problem;
use register::{Account, Register};

/// The media type of requests (RFC 8555 §6.2).
const JOSE: &str = "application/jose+json";

/// What the handlers of ACME share.
pub struct Shared {
    /// How what is answered is called.
    objects: Objects,
    desk: Arc<Desk>,
    /// The servers' CA's chain.
    chain: Chain,
    register: Register,
    nonces: Nonces,
    orders: Orders,
    counter: Counter,
    /// Who has shown wrong MAC keys.
    wrong: Failures<IpAddr>,
}

impl Shared {
    /// What the handlers need of a home that servers reach by `origin`, such as `https://pki.acme.example`.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn new(
        origin: String,
        desk: Arc<Desk>,
        chain: Chain,
        passphrase: Arc<Passphrase>,
        counter: Counter,
    ) -> Result<Self, CaError> {
        Ok(Self {
            objects: Objects::new(origin),
            register: Register::of(desk.clone(), passphrase)?,
            desk,
            chain,
            nonces: Nonces::default(),
            orders: Orders::default(),
            counter,
            wrong: Failures::default(),
        })
    }
}

/// The routes of the face for ACME.
pub fn router(shared: Arc<Shared>, monitor: Arc<Monitor>) -> Router {
    Router::new()
        .merge(monitor::alive())
        .merge(monitor::ready(monitor))
        .fallback(answer)
        .with_state(shared)
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Resource {
    Directory,
    NewNonce,
    NewAccount,
    NewOrder,
    RevokeCertificate,
    KeyChange,
    Account(AccountId),
    OrdersOf(AccountId),
    Order(OrderId),
    Finalize(OrderId),
    Authorization(OrderId, usize),
    Certificate(Serial),
    RenewalInfo(String),
}

impl Resource {
    fn of(path: &str) -> Option<Self> {
        if path == ACME_DIRECTORY {
            return Some(Self::Directory);
        }
        let parts: Vec<&str> = path.strip_prefix("/acme/")?.split('/').collect();
        Some(match parts[..] {
            ["new-nonce"] => Self::NewNonce,
            ["new-account"] => Self::NewAccount,
            ["new-order"] => Self::NewOrder,
            ["revoke-cert"] => Self::RevokeCertificate,
            ["key-change"] => Self::KeyChange,
            ["account", id] => Self::Account(id.parse().ok()?),
            ["account", id, "orders"] => Self::OrdersOf(id.parse().ok()?),
            ["order", id] => Self::Order(id.parse().ok()?),
            ["order", id, "finalize"] => Self::Finalize(id.parse().ok()?),
            ["authorization", id, number] => Self::Authorization(id.parse().ok()?, number.parse().ok()?),
            ["certificate", serial] => Self::Certificate(serial.parse().ok()?),
            ["renewal-info", id] => Self::RenewalInfo(id.to_owned()),
            _ => return None,
        })
    }

    /// The method by which it is asked for.
    fn is_read(&self) -> bool {
        matches!(self, Self::Directory | Self::NewNonce | Self::RenewalInfo(_))
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Extension(client): Extension<Client>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let address = client.address.ip();
    let resource = Resource::of(uri.path()).filter(|_| uri.query().is_none());
    let answer = match (&resource, method.as_str()) {
        (None, _) => Err(Problem::nothing_here()),
        (Some(Resource::Directory), "GET" | "HEAD") => Ok(shared.objects.directory()),
        (Some(Resource::NewNonce), "HEAD") => Ok(StatusCode::OK.into_response()),
        (Some(Resource::NewNonce), "GET") => Ok(StatusCode::NO_CONTENT.into_response()),
        (Some(Resource::RenewalInfo(id)), "GET" | "HEAD") => renewal::info(&shared, id),
        (Some(resource), "POST") if !resource.is_read() => {
            post(&shared, resource.clone(), address, uri.path(), &headers, body).await
        }
        (Some(resource), _) => Err(wrong_method(resource)),
    };
    let mut response = answer.unwrap_or_else(|problem| {
        let mut response = problem.into_response();
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            let is_read = resource.as_ref().is_some_and(Resource::is_read);
            let allow = HeaderValue::from_static(if is_read { "GET, HEAD" } else { "POST" });
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    });
    let is_fresh = method == Method::POST || resource == Some(Resource::NewNonce);
    let headers = response.headers_mut();
    if is_fresh && let Ok(nonce) = shared.nonces.make().parse() {
        headers.insert("replay-nonce", nonce);
    }
    if resource != Some(Resource::Directory)
        && let Ok(index) = shared.objects.index().parse()
    {
        headers.append(header::LINK, index);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn wrong_method(resource: &Resource) -> Problem {
    let detail = match resource.is_read() {
        true => "this is read by GET",
        false => "this is asked for by POST, also where it is only read (RFC 8555 §6.3)",
    };
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "malformed", detail)
}

async fn post(
    shared: &Arc<Shared>,
    resource: Resource,
    address: IpAddr,
    path: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let octets = body::read(headers, body, JOSE).await?;
    let jws = Jws::parse(&octets)?;
    jws.demand_known_algorithm()?;
    shared.demand_for(path, jws.url.as_deref())?;
    if resource == Resource::NewAccount {
        let (key, payload) = shared.by_key(jws).await?;
        return new_account(shared, address, &key, &payload).await;
    }
    if resource == Resource::RevokeCertificate && matches!(jws.signer, Signer::Key(_)) {
        let (key, payload) = shared.by_key(jws).await?;
        return certify::revoke_by_holder(shared, address, &key, &payload).await;
    }
    let (account, key, payload) = shared.by_account(jws).await?;
    let asking = Asking {
        account,
        key,
        payload,
        from: recorded(address),
    };
    let (grant, from) = (asking.account.known.grant.clone(), asking.from.clone());
    let answer = by_account(shared, resource, asking).await;
    if let Err(problem) = &answer
        && !problem.is_told
    {
        let told = Outcome::of_refused_acme(Some(&grant), &from, &problem.detail);
        shared.counter.tell(told);
    }
    answer
}

/// What an account asks for, verified.
struct Asking {
    account: Account,
    /// The key that has signed it, which is bound to the account.
    key: BoundKey,
    payload: Vec<u8>,
    /// The network that it comes from.
    from: String,
}

impl Asking {
    fn id(&self) -> AccountId {
        self.account.known.grant.account
    }

    /// The payload, read.
    fn payload<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        read(&self.payload)
    }

    /// Demands that nothing is asked but to read (RFC 8555 §6.3).
    fn demand_empty(&self) -> Result<(), Problem> {
        match self.payload.is_empty() {
            true => Ok(()),
            false => Err(Problem::malformed(
                "what is only read is asked for with an empty payload",
            )),
        }
    }
}

fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(payload)
        .map_err(|_| Problem::malformed("the payload is not what is expected here"))
}

async fn by_account(shared: &Arc<Shared>, resource: Resource, asking: Asking) -> Result<Response, Problem> {
    match resource {
        Resource::NewOrder => certify::new_order(shared, &asking),
        Resource::Order(id) => {
            asking.demand_empty()?;
            let order = shared.order(&asking, id)?;
            Ok(shared.objects.order(&order))
        }
        Resource::Authorization(id, number) => {
            asking.demand_empty()?;
            let order = shared.order(&asking, id)?;
            let name = order.names.get(number).ok_or_else(Problem::nothing_here)?;
            Ok(shared.objects.authorization(&order, name))
        }
        Resource::Finalize(id) => certify::finalize(shared, &asking, id).await,
        Resource::Certificate(serial) => {
            asking.demand_empty()?;
            certify::download(shared, &asking, serial)
        }
        Resource::RevokeCertificate => certify::revoke_by_account(shared, asking).await,
        Resource::Account(id) if id == asking.id() => account(shared, asking).await,
        Resource::OrdersOf(id) if id == asking.id() => {
            asking.demand_empty()?;
            let orders = shared.orders.of(id, (shared.desk.clock)());
            Ok(shared.objects.orders(&orders))
        }
        Resource::Account(_) | Resource::OrdersOf(_) => Err(Problem::unauthorized("this is another account")),
        Resource::KeyChange => change_key(shared, asking).await,
        // These are answered before.
        Resource::Directory | Resource::NewNonce | Resource::NewAccount | Resource::RenewalInfo(_) => {
            Err(Problem::nothing_here())
        }
    }
}

impl Shared {
    /// Demands that a request is signed for where it came to (RFC 8555 §6.4).
    fn demand_for(&self, path: &str, url: Option<&str>) -> Result<(), Problem> {
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
    async fn by_key(&self, jws: Jws) -> Result<(Jwk, Vec<u8>), Problem> {
        let Signer::Key(key) = &jws.signer else {
            return Err(Problem::malformed(
                "this is signed by a key that the header names by jwk",
            ));
        };
        let key = (**key).clone();
        let payload = self.verified(jws, key.clone()).await?;
        Ok((key, payload))
    }

    /// What the client of an account says.
    async fn by_account(&self, jws: Jws) -> Result<(Account, BoundKey, Vec<u8>), Problem> {
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
        let account = self.register.account(id).await.map_err(of_this_machine)?;
        let account = account.ok_or_else(unknown)?;
        let key = account.known.key.clone().ok_or_else(unknown)?;
        let jwk = Jwk::parse(&key.jwk).map_err(|_| unknown())?;
        let payload = self.verified(jws, jwk).await?;
        match account.known.ended {
            // Whoever has not got the key learns nothing of it.
            Some(_) => Err(Problem::unauthorized(
                AcmeDenial::Ended(account.known.host().clone()).to_string(),
            )),
            None => Ok((account, key, payload)),
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

    /// An order of the account that asks.
    fn order(&self, asking: &Asking, id: OrderId) -> Result<orders::Order, Problem> {
        let order = self.orders.find(asking.id(), id, (self.desk.clock)());
        order.ok_or_else(|| {
            let detail = "there is no such order: it has ended, or the service was started anew; order again";
            Problem::new(StatusCode::NOT_FOUND, "malformed", detail)
        })
    }

    /// Hands in what a client asks for, and waits for the answer.
    async fn ask(&self, request: AcmeRequest, from: String) -> Result<AcmeDone, Problem> {
        Ok(self.counter.acme(AskedAcme { request, from }).await?)
    }
}

/// What a client is told of a fault of this machine.
fn of_this_machine(_: CaError) -> Problem {
    Problem::unavailable()
}

/// What a new account is asked for with (RFC 8555 §7.3).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewAccount {
    #[serde(default)]
    only_return_existing: bool,
    external_account_binding: Option<Flattened>,
}

async fn new_account(
    shared: &Shared,
    address: IpAddr,
    key: &Jwk,
    payload: &[u8],
) -> Result<Response, Problem> {
    let asked: NewAccount = read(payload)?;
    let known = shared.register.account_by_key(key.text()).await;
    if let Some(account) = known.map_err(of_this_machine)? {
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
    let account = match bound(shared, key, Jws::of(binding)?).await? {
        Some(account) => account,
        None => {
            shared.wrong.count(network(address));
            let detail = "the external account binding is by no account here, or not by its MAC key";
            shared
                .counter
                .tell(Outcome::of_refused_acme(None, &recorded(address), detail));
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
/// Where the binding is not of the form that it must have.
async fn bound(shared: &Shared, key: &Jwk, binding: Jws) -> Result<Option<Account>, Problem> {
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
    let account = shared.register.account(id).await.map_err(of_this_machine)?;
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

async fn account(shared: &Shared, asking: Asking) -> Result<Response, Problem> {
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

async fn change_key(shared: &Shared, asking: Asking) -> Result<Response, Problem> {
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
    let known = shared.register.account_by_key(next.text()).await;
    if let Some(other) = known.map_err(of_this_machine)? {
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
    let request = AcmeRequest::ChangeKey(grant, asking.key, key);
    shared.ask(request, asking.from).await?;
    Ok(shared.objects.account(&asking.account.known, StatusCode::OK))
}
