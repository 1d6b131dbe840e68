//! The form of the page, for browsers that cannot make a key: without JavaScript, or too old. It takes the
//! secret that is typed, because a browser sends nothing of what follows the `#`, and hands out the bundle
//! that was made with the invite.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::{Environment, context};
use zeroize::Zeroizing;

use super::answer::Told;
use super::body;
use super::limits::recorded;
use super::page::{STYLE, Shared};
use super::profile;
use crate::ca::{self, Attempt, Desk, Fetching, RootInProfile};
use crate::model::InviteId;
use crate::model::event::Issued;

/// The media type of what it sends.
pub const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";
/// The form itself: the same on the page and on its answers.
pub const FIELDS: &str = include_str!("../../templates/serve/form.html");
/// What is answered where no file is.
const ANSWER: &str = include_str!("../../templates/serve/answer.html");

/// What the form needs beside the page.
pub struct Form {
    /// The home, where the bundles are.
    desk: Arc<Desk>,
}

impl Form {
    /// The form over this home.
    pub fn new(desk: Arc<Desk>) -> Self {
        Self { desk }
    }

    /// The answer in words, with the form to try again.
    fn told(&self, told: &Told) -> Response {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
        let page = environment.template_from_named_str("answer.html", ANSWER);
        let page = page.and_then(|page| {
            page.render(context! {
                organization => &self.desk.home.chain().issuer().organization,
                message => &told.message,
                style => STYLE,
                form => FIELDS,
            })
        });
        let page = page.expect("the answer's template is ours, and tested");
        let mut response = (told.status, Html(page)).into_response();
        told.say_when(&mut response);
        response
    }
}

/// Hands out the bundle to whoever has typed the secret.
pub async fn fetch(
    shared: &Shared,
    id: String,
    address: IpAddr,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let handed = handed(shared, id, address, headers, body).await;
    handed.unwrap_or_else(|told| shared.form.told(&told))
}

async fn handed(
    shared: &Shared,
    id: String,
    address: IpAddr,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Told> {
    shared.door.demand_few(address)?;
    let octets = Zeroizing::new(body::read(headers, body, MEDIA_TYPE).await?);
    let typed = Typed::read(&octets);
    let attempt = Attempt::Fetch(Fetching {
        id: id.clone(),
        secret: typed.secret,
        code: Some(typed.code),
        from: recorded(address),
    });
    let issued = shared.door.ask(address, attempt).await?;
    let id: InviteId = id.parse().map_err(|_| Told::unavailable())?;
    let bundle = ca::handed_out(&shared.form.desk.home, &id);
    let bundle = bundle.ok().flatten().ok_or_else(Told::unavailable)?;
    file(shared, &issued, bundle)
}

/// The bundle, or for Apple's devices a profile with it.
fn file(shared: &Shared, issued: &Issued, bundle: Vec<u8>) -> Result<Response, Told> {
    let attached = |media_type: &'static str, disposition: &'static str, octets: Vec<u8>| {
        let headers = [
            (header::CONTENT_TYPE, media_type),
            (header::CONTENT_DISPOSITION, disposition),
        ];
        (StatusCode::OK, headers, octets).into_response()
    };
    if !issued.platform.takes_mobileconfig() {
        let disposition = "attachment; filename=\"device.p12\"";
        return Ok(attached("application/x-pkcs12", disposition, bundle));
    }
    let profile = ca::apple_profile(
        &shared.chain,
        &shared.profile,
        issued,
        RootInProfile::Omitted,
        &bundle,
    )
    .map_err(|_| Told::unavailable())?;
    let disposition = "attachment; filename=\"device.mobileconfig\"";
    Ok(attached(profile::MEDIA_TYPE, disposition, profile.into_bytes()))
}

/// What was typed into the form. What is missing is empty, and opens nothing.
#[derive(Default)]
struct Typed {
    secret: Zeroizing<String>,
    code: Zeroizing<String>,
}

impl Typed {
    /// Reads the pairs of a form (URL Standard §5.1). The secret may be typed in groups, or be a whole link.
    fn read(octets: &[u8]) -> Self {
        let mut typed = Self::default();
        for (name, value) in form_urlencoded::parse(octets) {
            match name.as_ref() {
                "secret" => typed.secret = secret_in(&value),
                "code" => typed.code = value.split_whitespace().collect::<String>().into(),
                // Extensions of browsers add what they like.
                _ => {}
            }
        }
        typed
    }
}

/// The secret in what was typed or pasted: a link has it between `#` and the pin.
fn secret_in(typed: &str) -> Zeroizing<String> {
    let behind = typed.rsplit('#').next().unwrap_or_default();
    let secret = behind.split('.').next().unwrap_or_default();
    let is_written = |letter: &char| !letter.is_whitespace() && *letter != '-';
    secret.chars().filter(is_written).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_in_groups_and_out_of_a_whole_link() {
        let secret = "0123456789ABCDEFGHJKMNPQRS";
        for typed in [
            secret.to_owned(),
            "0123 4567-89AB CDEF GHJK MNPQ RS".into(),
            format!("https://enroll.acme.example/i/7K2M9XQ4#{secret}.ZZZZ"),
            format!(" {secret}\t"),
        ] {
            assert_eq!(*secret_in(&typed), secret, "{typed}");
        }
    }

    #[test]
    fn whatever_is_sent_in_place_of_a_form_is_read_and_opens_nothing() {
        let valid = [
            &b"secret=0123-4567+89AB&code=123456"[..],
            b"secret=https%3A%2F%2Fenroll.acme.example%2Fi%2F7K2M9XQ4%230123.ABCD",
        ];
        crate::fuzz::damaged(&valid, |octets| {
            let typed = Typed::read(octets);
            let is_bare = |text: &str| !text.contains(['-', '#', '.']) && !text.contains(char::is_whitespace);
            assert!(is_bare(&typed.secret), "{:?}", typed.secret);
            assert!(!typed.code.contains(char::is_whitespace), "{:?}", typed.code);
            true
        });
    }

    #[test]
    fn a_form_is_read_as_browsers_send_it() {
        let typed = Typed::read(b"secret=0123+4567%2D89&code=12+34+56&_token=x");
        assert_eq!(
            (typed.secret.as_str(), typed.code.as_str()),
            ("0123456789", "123456")
        );
        let nothing = Typed::read(b"%zz=&secret");
        assert!(nothing.secret.is_empty() && nothing.code.is_empty());
    }
}
