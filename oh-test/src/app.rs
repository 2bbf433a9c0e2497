//! The application under test, as a function from requests to responses.

use std::future::Future;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower_service::Service;

/// An application that handles requests.
///
/// [`Kit::axum`](crate::Kit::axum) and `Kit::actix` create it. For another framework, implement it
/// and pass it to [`Kit::browser`](crate::Kit::browser).
pub trait App {
    /// Handles a request and returns the response with its complete body.
    ///
    /// # Panics
    ///
    /// Panics if the response body fails.
    fn call(&self, request: Request<Bytes>) -> impl Future<Output = Response<Bytes>>;
}

/// An axum application.
#[derive(Clone, Debug)]
pub struct Axum(pub(crate) Router);

impl App for Axum {
    async fn call(&self, request: Request<Bytes>) -> Response<Bytes> {
        // A router is always ready.
        let Ok(response) = self.0.clone().call(request.map(Body::from)).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("the response body is complete");
        Response::from_parts(head, body.to_bytes())
    }
}

#[cfg(feature = "actix")]
pub use actix::Actix;

#[cfg(feature = "actix")]
mod actix {
    //! Converts between actix-web's http 0.2 types and http 1 types.

    use actix_web::HttpResponse;
    use actix_web::body::{MessageBody, to_bytes};
    use actix_web::dev::{Service, ServiceResponse};
    use actix_web::test::TestRequest;
    use bytes::Bytes;
    use http::{Request, Response};

    use super::App;

    /// An actix-web application.
    #[derive(Debug)]
    pub struct Actix<'a, S>(pub(crate) &'a S);

    impl<S, B, E> App for Actix<'_, S>
    where
        S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = E>,
        B: MessageBody,
        E: Into<actix_web::Error>,
    {
        async fn call(&self, request: Request<Bytes>) -> Response<Bytes> {
            let (head, body) = request.into_parts();
            let method = actix_web::http::Method::from_bytes(head.method.as_str().as_bytes());
            let mut converted = TestRequest::with_uri(&head.uri.to_string())
                .method(method.expect("both versions accept the same methods"));
            for (name, value) in &head.headers {
                converted = converted.append_header((name.as_str(), value.as_bytes()));
            }
            match self.0.call(converted.set_payload(body).to_request()).await {
                Ok(response) => convert(response.into_parts().1).await,
                Err(error) => convert(error.into().error_response()).await,
            }
        }
    }

    async fn convert<B: MessageBody>(original: HttpResponse<B>) -> Response<Bytes> {
        let mut response = Response::builder().status(original.status().as_u16());
        for (name, value) in original.headers() {
            response = response.header(name.as_str(), value.as_bytes());
        }
        let body = to_bytes(original.into_body()).await;
        let body = body
            .map_err(Into::into)
            .expect("the response body is complete");
        let response = response.body(body);
        response.expect("both versions accept the same headers")
    }
}
