//! The service for whoever looks after it: whether it is there, whether it is ready, and what it counts.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::answer::Told;
use super::health::Health;
use super::metrics::{self, Metrics};
use super::proxy::Client;
use crate::model::{IpRange, Time};

/// What is known of the service while it runs.
pub struct Monitor {
    /// What it counts.
    pub metrics: Metrics,
    /// Whether it is well.
    pub health: Health,
    from: Vec<IpRange>,
    clock: fn() -> Time,
}

impl Monitor {
    /// One that tells what is not for everybody to addresses in these ranges.
    pub fn new(from: Vec<IpRange>, clock: fn() -> Time) -> Self {
        Self {
            metrics: Metrics::new(clock()),
            health: Health::default(),
            from,
            clock,
        }
    }

    /// The current time.
    pub fn now(&self) -> Time {
        (self.clock)()
    }

    /// Refuses whoever is not to know how the service is. Whoever came through a proxy that is not believed
    /// has an address that nobody knows.
    fn demand_known(&self, client: Client) -> Result<(), Told> {
        let address = client.address.ip().to_canonical();
        match client.is_certain && self.from.iter().any(|range| range.covers(address)) {
            true => Ok(()),
            false => Err(Told::new(
                StatusCode::FORBIDDEN,
                "from",
                "this is told to the addresses of `metrics_from` alone",
            )),
        }
    }
}

/// `/healthz`: the process answers.
pub fn alive<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/healthz", get(async || "ok\n"))
}

/// `/readyz`: whether phones can enroll and renew, and what will keep them from it before long.
pub fn ready<S: Clone + Send + Sync + 'static>(monitor: Arc<Monitor>) -> Router<S> {
    Router::new().route("/readyz", get(readiness)).with_state(monitor)
}

/// `/metrics`: what is counted.
pub fn counted<S: Clone + Send + Sync + 'static>(monitor: Arc<Monitor>) -> Router<S> {
    Router::new().route("/metrics", get(figures)).with_state(monitor)
}

async fn readiness(
    State(monitor): State<Arc<Monitor>>,
    Extension(client): Extension<Client>,
) -> Result<Response, Told> {
    monitor.demand_known(client)?;
    let troubles = monitor.health.troubles(monitor.now());
    let is_ready = troubles.iter().all(|trouble| !trouble.stops);
    let status = match is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = serde_json::json!({ "ready": is_ready, "troubles": troubles });
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((status, headers, format!("{body}\n")).into_response())
}

async fn figures(
    State(monitor): State<Arc<Monitor>>,
    Extension(client): Extension<Client>,
) -> Result<Response, Told> {
    monitor.demand_known(client)?;
    let text = monitor.metrics.text(&monitor.health, monitor.now());
    Ok(([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], text).into_response())
}
