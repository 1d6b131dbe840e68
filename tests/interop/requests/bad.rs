//! Every request that must be taken and that must be refused, at each framework.

use super::Api;
use super::api::with_devices;

/// The answers to the requests of `cases.mjs`, all of them as the table there has them.
fn answers_as_the_table_has_it(framework: &str, packages: &[&str]) {
    let Some(home) = with_devices(packages) else {
        return;
    };
    let api = Api::start(home, framework, &["6000"]);
    let said = api.says("cases.mjs");
    let last = said.lines().last().unwrap();
    let (count, others) = last.split_once(" requests, ").unwrap();
    assert!(
        others == "0 with another answer" && count.parse::<u32>().unwrap() > 100,
        "{said}"
    );
}

#[test]
fn plain_http_takes_what_is_signed_and_refuses_the_rest() {
    answers_as_the_table_has_it("plain", &[]);
}

#[test]
fn express_takes_what_is_signed_and_refuses_the_rest() {
    answers_as_the_table_has_it("express", &["express"]);
}

#[test]
fn fastify_takes_what_is_signed_and_refuses_the_rest() {
    answers_as_the_table_has_it("fastify", &["fastify"]);
}
