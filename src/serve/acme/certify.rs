//! Orders, the certificates that they bring, and their revocation (RFC 8555 §7.4 and §7.6).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::asking::{Asking, read};
use super::orders::{OrderId, State};
use super::problem::Problem;
use super::renewal;
use super::{Shared, among_signers, recorded};
use crate::ca::{AcmeDone, AcmeRequest, MOST_NAMES, Ordering, Revoker};
use crate::key::{Jwk, PublicKey};
use crate::model::{Host, Reason, Serial};
use crate::x509::Certificate;
use crate::x509::request::{self, Request};

/// What is ordered (RFC 8555 §7.4, RFC 9773 §5).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewOrder {
    identifiers: Vec<Identifier>,
    not_before: Option<Value>,
    not_after: Option<Value>,
    replaces: Option<String>,
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

/// Makes an order, which is ready at once.
pub fn new_order(shared: &Shared, asking: &Asking) -> Result<Response, Problem> {
    let asked: NewOrder = asking.payload()?;
    if asked.not_before.is_some() || asked.not_after.is_some() {
        return Err(Problem::malformed(
            "how long a certificate is good is the operator's to say: leave notBefore and notAfter out",
        ));
    }
    if asked.identifiers.is_empty() || asked.identifiers.len() > MOST_NAMES {
        return Err(Problem::malformed(format!(
            "an order is for 1 to {MOST_NAMES} names"
        )));
    }
    let granted = &asking.account.known.grant.names;
    let mut refused = Vec::new();
    let mut names = BTreeSet::new();
    for identifier in &asked.identifiers {
        match name_of(identifier, granted) {
            Ok(name) => {
                names.insert(name);
            }
            Err(problem) => {
                let shown = json!({ "type": identifier.kind, "value": identifier.value });
                refused.push((shown, problem));
            }
        }
    }
    if !refused.is_empty() {
        return Err(Problem::of_names(refused));
    }
    // In the order of the grant: the certificate is for the first one.
    let names: Vec<Host> = granted
        .iter()
        .filter(|name| names.contains(name))
        .cloned()
        .collect();
    let now = (shared.desk.clock)();
    let replaces = match &asked.replaces {
        Some(id) => Some(renewal::replaced(shared, asking, id, &names)?),
        None => None,
    };
    match shared.orders.add(asking.id(), names, replaces, now) {
        Some(order) => Ok(shared.objects.new_order(&order)),
        None => Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rateLimited",
            "this account has a thousand orders that it has not finalized, or 20,000 certificates of one day",
        )),
    }
}

/// The granted name that an identifier means.
fn name_of(identifier: &Identifier, granted: &[Host]) -> Result<Host, Problem> {
    if identifier.kind != "dns" {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "unsupportedIdentifier",
            "certificates are ordered for names (dns) alone",
        ));
    }
    let rejected = |detail: String| Problem::new(StatusCode::FORBIDDEN, "rejectedIdentifier", detail);
    let name: Host = identifier
        .value
        .parse()
        .map_err(|why: crate::model::host::InvalidHost| rejected(why.to_string()))?;
    match granted.contains(&name) {
        true => Ok(name),
        false => Err(rejected(format!(
            "this account may not order {name}: an operator grants another account with it, `pki server acme`"
        ))),
    }
}

#[derive(Deserialize)]
struct Finalizing {
    csr: String,
}

/// Has what was ordered certified, for the key of a request.
pub async fn finalize(shared: &Arc<Shared>, asking: &Asking, id: OrderId) -> Result<Response, Problem> {
    let asked: Finalizing = asking.payload()?;
    let order = shared.order(asking, id)?;
    let not_ready = || {
        let detail = "the order is being finalized, or was: read it";
        Problem::new(StatusCode::FORBIDDEN, "orderNotReady", detail)
    };
    if order.state != State::Ready {
        return Err(not_ready());
    }
    let der = BASE64URL_NOPAD
        .decode(asked.csr.as_bytes())
        .map_err(|_| Problem::bad_csr("the csr is no base64url without padding"))?;
    let names = order.names.clone();
    let key = among_signers(move || requested(&der, &names)).await;
    let public_key = key.map_err(|_| Problem::unavailable())??;
    let (account, now) = (asking.id(), (shared.desk.clock)());
    if !shared
        .orders
        .go_over(account, id, State::Ready, State::Processing, now)
    {
        return Err(not_ready());
    }
    let ordering = Ordering {
        grant: asking.account.known.grant.clone(),
        key: asking.key.clone(),
        names: order.names.clone(),
        public_key,
    };
    let (own, from) = (shared.clone(), asking.from.clone());
    // It is finished also where the client hangs up meanwhile.
    let finished = tokio::spawn(async move {
        let answer = own.ask(AcmeRequest::Certify(Box::new(ordering)), from).await;
        let state = match &answer {
            Ok(AcmeDone::Certified(certified)) => State::Valid(certified.serial),
            Ok(AcmeDone::Recorded) | Err(_) => State::Ready,
        };
        own.orders.go_over(account, id, State::Processing, state, now);
        answer
    });
    finished.await.map_err(|_| Problem::unavailable())??;
    Ok(shared.objects.order(&shared.order(asking, id)?))
}

/// The key of a request for these very names, whose holder has proved to have it.
pub(super) fn requested(der: &[u8], names: &[Host]) -> Result<PublicKey, Problem> {
    let request = Request::parse(der).map_err(|why| {
        Problem::bad_csr(format!(
            "the request for a certificate {why} (certbot: --key-type ecdsa; lego: --key-type ec256)"
        ))
    })?;
    let asked = request::names(der)
        .map_err(|why| Problem::bad_csr(format!("the request for a certificate {why}")))?;
    let ordered: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
    let asked: Option<BTreeSet<String>> = asked.map(|all| all.into_iter().collect());
    match asked {
        Some(asked) if asked == ordered => Ok(request.public_key().clone()),
        Some(_) | None => Err(Problem::bad_csr(
            "the request for a certificate has not the names of the order, or others besides",
        )),
    }
}

/// The certificate, and the servers' CA's above it (RFC 8555 §7.4.2).
pub fn download(shared: &Shared, asking: &Asking, serial: Serial) -> Result<Response, Problem> {
    let known = shared.register.certificate(serial)?;
    let known = known.filter(|known| known.account == Some(asking.id()));
    let known = known.ok_or_else(Problem::nothing_here)?;
    let headers = [(header::CONTENT_TYPE, "application/pem-certificate-chain")];
    Ok((headers, shared.chain.fullchain(&known.der)).into_response())
}

/// What is to be revoked (RFC 8555 §7.6).
#[derive(Deserialize)]
struct Revoking {
    certificate: String,
    reason: Option<u8>,
}

impl Revoking {
    /// The certificate that is meant, DER, and why it is to be revoked.
    fn meant(&self, shared: &Shared) -> Result<(Serial, Certificate, Reason), Problem> {
        let reason = match self.reason {
            None | Some(0) => Reason::Unspecified,
            Some(1) => Reason::Compromised,
            Some(3 | 4) => Reason::Replaced,
            Some(5) => Reason::Left,
            Some(_) => {
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "badRevocationReason",
                    "the reason is to be 0, 1, 3, 4 or 5 (RFC 5280 §5.3.1)",
                ));
            }
        };
        let unreadable = || Problem::malformed("the certificate cannot be read");
        let der = BASE64URL_NOPAD
            .decode(self.certificate.as_bytes())
            .map_err(|_| unreadable())?;
        let certificate = Certificate::from_der(&der).map_err(|_| unreadable())?;
        let foreign =
            || Problem::unauthorized("the certificate is none that was issued here and has not ended");
        let serial = Serial::from_octets(certificate.serial()).ok_or_else(foreign)?;
        let known = shared.register.certificate(serial)?;
        match known {
            Some(known) if known.der == der => Ok((serial, certificate, reason)),
            Some(_) | None => Err(foreign()),
        }
    }
}

/// Revokes what the account has ordered.
pub async fn revoke_by_account(shared: &Shared, asking: Asking) -> Result<Response, Problem> {
    let revoking: Revoking = asking.payload()?;
    let (serial, _, reason) = revoking.meant(shared)?;
    let grant = asking.account.known.grant.clone();
    let request = AcmeRequest::Revoke(Revoker::Account(grant, asking.key), serial, reason);
    shared.ask(request, asking.from).await?;
    Ok(StatusCode::OK.into_response())
}

/// Revokes a certificate for whoever holds its key.
pub async fn revoke_by_holder(
    shared: &Shared,
    address: IpAddr,
    key: &Jwk,
    payload: &[u8],
) -> Result<Response, Problem> {
    let revoking: Revoking = read(payload)?;
    let (serial, certificate, reason) = revoking.meant(shared)?;
    if key.public_key() != Some(certificate.public_key()) {
        return Err(Problem::unauthorized(
            "the request is signed by another key than the certificate's",
        ));
    }
    let request = AcmeRequest::Revoke(Revoker::Holder, serial, reason);
    shared.ask(request, recorded(address)).await?;
    Ok(StatusCode::OK.into_response())
}
