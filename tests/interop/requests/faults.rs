//! What goes wrong around signed requests: nothing of it lets a request through, and nothing ends the
//! process.

use super::api::{ORIGIN, data, with_devices};
use crate::support::HOST;

const SAID: &str = "\
answered before: HTTP/1.1 503 Service Unavailable, HTTP/1.1 503 Service Unavailable, 200 alice/phone; the handler ran 1 times
a body that was read: 500 fault; the handler ran 0 times
no answer: 503 unavailable; the handler ran 0 times
a late answer: 401 clock; the handler ran 0 times
a device that is changed: 200 TypeError; the handler ran 0 times
small chunks: HTTP/1.1 200 OK; the handler ran 0 times
bodies at once: 1 of 33 refused, 200 2; the handler ran 0 times
one head again and again: 32 of 33 refused, 200 2; the handler ran 0 times
clients that have gone, Content-Length: 200 alice/phone; the handler ran 1 times
clients that have gone, Transfer-Encoding: 200 alice/phone; the handler ran 1 times
two verifiers: 200 alice/phone, 401 replayed; the handler ran 1 times
one that was closed: 503 unavailable, 200 alice/phone; the handler ran 1 times
a failure that says nothing: 503 unavailable; the handler ran 0 times
a shared key and a token: 200 alice/phone, 401 token; the handler ran 1 times
a body behind a loss: HTTP/1.1 200 OK, HTTP/1.1 401 Unauthorized; the handler ran 1 times
a million nonces: 6000, 994000, new, seen, true; the handler ran 0 times
a list that came late: 401 device; the handler ran 0 times
a revoked one that is listed: 401 device; the handler ran 0 times
lists that have ended: 503 unavailable; the handler ran 0 times
a key that is none: 503 unavailable; the handler ran 0 times
whole again: 200 alice/phone; the handler ran 1 times
Fastify, answered before: 503; the handler ran 0 times
no claims: TypeError
";

#[test]
fn nothing_gets_through_where_something_goes_wrong() {
    let Some(home) = with_devices(&["express", "fastify"]) else {
        return;
    };
    let lists = home.path("lists");
    let place = lists.to_str().unwrap();
    let printed = home.run(&["config", "requests-node", HOST, "--server-dir", place]);
    std::fs::write(home.path("requests.mjs"), printed.ok().stdout).unwrap();
    std::fs::copy(data("faults.mjs"), home.path("faults.mjs")).unwrap();
    let said = home.foreign("node", &["faults.mjs", ORIGIN]).ok().stdout;
    assert_eq!(said, SAID);
}
