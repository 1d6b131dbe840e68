//! ACME (RFC 8555): the door by which the company's own servers order their certificates. Nobody proves that
//! a name is his by a challenge: an operator has granted it to the account, so that authorizations are valid
//! at once, and nothing is dialled.

mod accounts;
mod asking;
mod budget;
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
mod resource;

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};

use super::body;
use super::clerk::{AskedAcme, Counter};
use super::limits::{Failures, recorded};
use super::monitor::{self, Monitor};
use super::outcome::Outcome;
use super::proxy::Client;
use super::request::among_signers;
use crate::ca::{AcmeDone, AcmeRequest, CaError, Desk};
use crate::issuer::Chain;
use crate::key::Passphrase;
use crate::model::Span;
use asking::Asking;
use budget::Budget;
use jws::{Jws, Signer};
use nonces::Nonces;
use objects::Objects;
use orders::{OrderId, Orders};
use problem::Problem;
use register::Register;
use resource::Resource;

/// The media type of requests (RFC 8555 §6.2).
const JOSE: &str = "application/jose+json";

/// How often an account changes its key in a day.
const MOST_KEY_CHANGES: u32 = 10;

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
    key_changes: Budget,
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
            register: Register::of(desk.clone(), passphrase, counter.clone())?,
            desk,
            chain,
            nonces: Nonces::default(),
            orders: Orders::default(),
            key_changes: Budget::new(MOST_KEY_CHANGES, Span::days(1)),
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
        return accounts::new_account(shared, address, &key, &payload).await;
    }
    if resource == Resource::RevokeCertificate && matches!(jws.signer, Signer::Key(_)) {
        let (key, payload) = shared.by_key(jws).await?;
        return certify::revoke_by_holder(shared, address, &key, &payload).await;
    }
    let from = recorded(address);
    let (account, key, payload) = shared.by_account(jws, &from).await?;
    let grant = account.known.grant.clone();
    let asking = Asking {
        account,
        key,
        payload,
        from: from.clone(),
    };
    let answer = by_account(shared, resource, asking).await;
    if let Err(problem) = &answer
        && !problem.is_told
    {
        let told = Outcome::of_refused_acme(Some(&grant), &from, &problem.detail);
        shared.counter.tell(told);
    }
    answer
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
        Resource::Account(id) if id == asking.id() => accounts::account(shared, asking).await,
        Resource::OrdersOf(id) if id == asking.id() => {
            asking.demand_empty()?;
            let orders = shared.orders.of(id, (shared.desk.clock)());
            Ok(shared.objects.orders(&orders))
        }
        Resource::Account(_) | Resource::OrdersOf(_) => Err(Problem::unauthorized("this is another account")),
        Resource::KeyChange => accounts::change_key(shared, asking).await,
        // These are answered before.
        Resource::Directory | Resource::NewNonce | Resource::NewAccount | Resource::RenewalInfo(_) => {
            Err(Problem::nothing_here())
        }
    }
}

impl Shared {
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
