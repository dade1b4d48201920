//! The middleware: a slot for each request, and a future of its own so that nothing is boxed.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use axum::http::header::SET_COOKIE;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{Floor, Slot, State};

#[derive(Clone)]
pub struct FloorLayer(pub Arc<Floor>);

impl<S> Layer<S> for FloorLayer {
    type Service = FloorService<S>;

    fn layer(&self, inner: S) -> FloorService<S> {
        FloorService { inner, floor: Arc::clone(&self.0) }
    }
}

#[derive(Clone)]
pub struct FloorService<S> {
    inner: S,
    floor: Arc<Floor>,
}

impl<S, In, Out: Default> Service<Request<In>> for FloorService<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Closing<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        let slot = Arc::new(Slot { floor: Arc::clone(&self.floor), state: Mutex::new(State::default()) });
        request.extensions_mut().insert(Arc::clone(&slot));
        Closing { inner: self.inner.call(request), slot }
    }
}

pin_project! {
    pub struct Closing<F> {
        #[pin]
        inner: F,
        slot: Arc<Slot>,
    }
}

impl<F: Future<Output = Result<Response<Out>, E>>, Out: Default, E> Future for Closing<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(context))?;
        if response.status().is_server_error() {
            return Poll::Ready(Ok(response));
        }
        let cookie = this.slot.close().and_then(|cookie| {
            cookie.map(HeaderValue::try_from).transpose().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
        });
        match cookie {
            Ok(None) => {}
            Ok(Some(cookie)) => {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            Err(status) => {
                response = Response::default();
                *response.status_mut() = status;
            }
        }
        Poll::Ready(Ok(response))
    }
}
