//! The objects of ACME as JSON, and what they are called (RFC 8555 §7.1).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::orders::{Order, OrderId, State};
use crate::home::config::ACME_DIRECTORY;
use crate::model::{AccountId, AcmeAccount, Host};

/// Everything by its URL.
pub struct Objects {
    /// Such as `https://pki.acme.example`.
    origin: String,
}

impl Objects {
    /// What is at this origin.
    pub fn new(origin: String) -> Self {
        Self { origin }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The value of the header that says where the directory is (RFC 8555 §7.1).
    pub fn index(&self) -> String {
        format!("<{}>;rel=\"index\"", self.url(ACME_DIRECTORY))
    }

    /// The URL of an account, by which it is named in requests.
    pub fn account_url(&self, id: AccountId) -> String {
        self.url(&format!("/acme/account/{id}"))
    }

    /// The account that a URL names.
    pub fn account_in(&self, url: &str) -> Option<AccountId> {
        let path = url.strip_prefix(&self.origin)?;
        path.strip_prefix("/acme/account/")?.parse().ok()
    }

    /// The directory (RFC 8555 §7.1.1).
    pub fn directory(&self) -> Response {
        let url = |path| self.url(path);
        object(
            StatusCode::OK,
            &json!({
                "newNonce": url("/acme/new-nonce"),
                "newAccount": url("/acme/new-account"),
                "newOrder": url("/acme/new-order"),
                "revokeCert": url("/acme/revoke-cert"),
                "keyChange": url("/acme/key-change"),
                "renewalInfo": url("/acme/renewal-info"),
                "meta": { "externalAccountRequired": true },
            }),
        )
    }

    /// An account (RFC 8555 §7.1.2).
    pub fn account(&self, account: &AcmeAccount, status: StatusCode) -> Response {
        let url = self.account_url(account.grant.account);
        let standing = match account.ended {
            None => "valid",
            Some(_) => "deactivated",
        };
        let body = json!({ "status": standing, "orders": format!("{url}/orders") });
        located(object(status, &body), &url)
    }

    /// The orders of an account (RFC 8555 §7.1.2.1).
    pub fn orders(&self, orders: &[OrderId]) -> Response {
        let urls: Vec<String> = orders.iter().map(|id| self.order_url(*id)).collect();
        object(StatusCode::OK, &json!({ "orders": urls }))
    }

    fn order_url(&self, id: OrderId) -> String {
        self.url(&format!("/acme/order/{id}"))
    }

    /// An order (RFC 8555 §7.1.3).
    pub fn order(&self, order: &Order) -> Response {
        located(
            object(StatusCode::OK, &self.order_object(order)),
            &self.order_url(order.id),
        )
    }

    /// An order that was made just now.
    pub fn new_order(&self, order: &Order) -> Response {
        located(
            object(StatusCode::CREATED, &self.order_object(order)),
            &self.order_url(order.id),
        )
    }

    fn order_object(&self, order: &Order) -> Value {
        let url = self.order_url(order.id);
        let authorizations: Vec<String> = (0..order.names.len())
            .map(|number| self.url(&format!("/acme/authorization/{}/{number}", order.id)))
            .collect();
        let names: Vec<Value> = order.names.iter().map(identifier).collect();
        let mut object = json!({
            "status": match order.state {
                State::Ready => "ready",
                State::Processing => "processing",
                State::Valid(_) => "valid",
            },
            "expires": order.expires.to_string(),
            "identifiers": names,
            "authorizations": authorizations,
            "finalize": format!("{url}/finalize"),
        });
        if let State::Valid(serial) = order.state {
            object["certificate"] = json!(self.url(&format!("/acme/certificate/{serial}")));
        }
        object
    }

    /// An authorization (RFC 8555 §7.1.4): the operator's grant, and no challenge that anybody met.
    pub fn authorization(&self, order: &Order, name: &Host) -> Response {
        object(
            StatusCode::OK,
            &json!({
                "status": "valid",
                "expires": order.expires.to_string(),
                "identifier": identifier(name),
                "challenges": [],
            }),
        )
    }
}

/// A name as ACME has it (RFC 8555 §9.7.7).
pub fn identifier(name: &Host) -> Value {
    json!({ "type": "dns", "value": name })
}

/// A JSON object.
pub fn object(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, format!("{body}\n")).into_response()
}

fn located(mut response: Response, url: &str) -> Response {
    if let Ok(location) = url.parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
