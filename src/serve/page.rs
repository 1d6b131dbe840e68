//! The page: what a phone opens that has scanned a code. Looking at it changes nothing; a request for a
//! certificate with the secret redeems the invite.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use data_encoding::BASE64;
use minijinja::{Environment, context};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::ServeError;
use super::answer::Told;
use super::body;
use super::door::Door;
use super::form::{self, Form};
use super::limits::recorded;
use super::monitor::{self, Monitor};
use super::profile::{self, Slots};
use super::proxy::Client;
use super::request::requested_key;
use crate::ca::{Attempt, Redeeming};
use crate::home::config::Serve;
use crate::issuer::Chain;

/// The page, one file for all texts.
const PAGE: &str = include_str!("../../templates/serve/page.html");
const SCRIPT: &str = include_str!("../../templates/serve/page.js");
pub const STYLE: &str = include_str!("../../templates/serve/page.css");

/// What the page says, made once.
pub struct Page {
    html: String,
    /// For apps: where EST is, and the API.
    addresses: String,
    /// What a browser may do on the page: run the script that is in it, which may ask the same server.
    policy: HeaderValue,
}

impl Page {
    /// The page of this organization.
    ///
    /// # Errors
    /// Where `pki.toml` does not say by which name it is reached.
    pub fn new(serve: &Serve, organization: &str) -> Result<Self, ServeError> {
        let host = serve.host.as_ref().ok_or(ServeError::NoHost)?;
        let device_host = serve.device_host.as_ref().unwrap_or(host);
        let addresses = serde_json::json!({
            "est": format!("https://{device_host}/.well-known/est"),
            "api": serve.api,
        });
        let script = sent(SCRIPT);
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
        let page = environment.template_from_named_str("page.html", PAGE);
        let page = page.and_then(|page| {
            let form = form::FIELDS;
            page.render(context! { organization, api => &serve.api, script => &script, style => STYLE, form })
        });
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'",
            hash_of(&script),
            hash_of(STYLE)
        );
        Ok(Self {
            html: page.expect("the page's template is ours, and tested"),
            addresses: addresses.to_string(),
            policy: HeaderValue::try_from(policy).expect("base64 and words are visible ASCII"),
        })
    }
}

/// A script without what is for its readers: comments, indentation and spaces around signs. No text that it
/// has in quotes has such signs.
fn sent(script: &str) -> String {
    let lines = script
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"));
    let bare = |line: &str| line.replace(" => ", "=>").replace(" = ", "=").replace(", ", ",");
    lines.map(bare).collect::<Vec<_>>().join("\n")
}

/// The hash by which a policy lets in what stands in a page (CSP 3 §2.3.1).
fn hash_of(text: &str) -> String {
    format!("sha256-{}", BASE64.encode(&Sha256::digest(text)))
}

/// What the handlers of the page share.
pub struct Shared {
    /// What it says.
    pub page: Page,
    /// The issuing CA's chain.
    pub chain: Chain,
    /// The way to the clerk, for whoever shows a secret.
    pub door: Arc<Door>,
    /// Whether the service is ready.
    pub monitor: Arc<Monitor>,
    /// The form for browsers that cannot make a key.
    pub form: Form,
    /// The template of Apple's profiles.
    pub profile: String,
    /// The profiles that wait for their devices.
    pub slots: Slots,
}

/// The routes of the page.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/i/{id}", get(show).post(posted))
        .route("/i/{id}/profile", post(profile::hand_in))
        .route("/i/{id}/profile/{slot}", get(profile::fetch))
        .merge(monitor::alive())
        .merge(monitor::ready(shared.monitor.clone()))
        .method_not_allowed_fallback(async || Told::wrong_method())
        .fallback(async || Told::nothing_here())
        .layer(map_response_with_state(shared.clone(), guarded))
        .with_state(shared)
}

/// Nothing of it is kept by browsers, told to other sites, or shown inside of one.
async fn guarded(State(shared): State<Arc<Shared>>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, shared.page.policy.clone());
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The same for every invite, and for none.
async fn show(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("application/json")) {
        let json = [(header::CONTENT_TYPE, "application/json")];
        return (json, shared.page.addresses.clone()).into_response();
    }
    Html(shared.page.html.clone()).into_response()
}

/// A request to redeem an invite, in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    secret: Zeroizing<String>,
    csr: String,
    #[serde(default)]
    code: Option<Zeroizing<String>>,
}

/// What the page's script sends, or its form.
async fn posted(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (address, shared) = (client.address.ip(), &shared);
    let id = match path {
        Ok(Path(id)) => id,
        Err(why) => return Told::from(why).into_response(),
    };
    if is_of_another_site(&headers) {
        let told = Told::new(
            StatusCode::FORBIDDEN,
            "another-site",
            "another site has sent this",
        );
        return told.into_response();
    }
    match body::is_of(&headers, form::MEDIA_TYPE) {
        true => form::fetch(shared, id, address, &headers, body).await,
        false => redeem(shared, id, address, &headers, body).await.into_response(),
    }
}

/// Whether a browser says that a page of another site has it send this (Fetch Metadata §2.3): such a page
/// could fail in the name of everybody behind an address, or have a browser save a file that is not its
/// owner's.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

async fn redeem(
    shared: &Shared,
    id: String,
    address: IpAddr,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Told> {
    shared.door.demand_few(address)?;
    let octets = Zeroizing::new(body::read(headers, body, "application/json").await?);
    let asked: Asked = serde_json::from_slice(&octets).map_err(|_| {
        Told::new(
            StatusCode::BAD_REQUEST,
            "request",
            "no JSON with `secret` and `csr`",
        )
    })?;
    let key = requested_key(asked.csr.into_bytes()).await?;
    let attempt = Attempt::Redeem(Redeeming {
        id,
        secret: asked.secret,
        code: asked.code,
        key,
        from: recorded(address),
    });
    let issued = shared.door.ask(address, attempt).await?;
    let chain = shared.chain.fullchain(&issued.certificate);
    let pem = [(header::CONTENT_TYPE, "application/pem-certificate-chain")];
    Ok((pem, chain).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::config::Config;

    fn page(organization: &str) -> Page {
        let config =
            Config::parse("[serve]\nhost = \"enroll.acme.example\"\napi = \"https://api.acme.example/\"");
        Page::new(&config.unwrap().serve, organization).unwrap()
    }

    #[test]
    fn the_page_is_small_and_its_policy_lets_in_what_it_has_and_nothing_else() {
        let page = page("Acme Ltd");
        assert!(sent(SCRIPT).len() < 8 << 10, "{} octets", sent(SCRIPT).len());
        assert!(page.html.len() < 40 << 10);
        let policy = page.policy.to_str().unwrap();
        assert!(policy.contains(&hash_of(&sent(SCRIPT))) && policy.contains(&hash_of(STYLE)));
        assert!(page.html.contains(&format!("<script>{}</script>", sent(SCRIPT))));
        assert!(page.html.contains(&format!("<style>{STYLE}</style>")));
        assert!(!policy.contains("unsafe") && !policy.contains("http"));
    }

    #[test]
    fn no_text_in_the_script_has_signs_that_lose_their_spaces() {
        let texts = SCRIPT
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| line.split('\'').skip(1).step_by(2));
        assert!(texts.clone().count() > 50);
        for text in texts {
            assert_eq!(sent(text), text.trim());
        }
    }

    #[test]
    fn what_the_company_is_called_is_text_on_the_page() {
        let page = page("<script>alert(1)</script> & \"Sons\"");
        assert!(!page.html.contains("<script>alert"));
    }

    #[test]
    fn apps_are_told_where_est_is() {
        let told: serde_json::Value = serde_json::from_str(&page("Acme Ltd").addresses).unwrap();
        assert_eq!(told["est"], "https://enroll.acme.example/.well-known/est");
        assert_eq!(told["api"], "https://api.acme.example/");
    }
}
