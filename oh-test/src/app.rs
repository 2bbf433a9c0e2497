//! The app under test, whatever its framework: a function from requests to answers.

use std::future::Future;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower_service::Service;

/// An app that can be asked. Made by [`Kit::axum`](crate::Kit::axum) and `Kit::actix`; for another
/// framework, implement it and make a [`Browser`](crate::Browser) by
/// [`Kit::browser`](crate::Kit::browser).
pub trait App {
    /// Answers a request.
    ///
    /// # Panics
    ///
    /// When the answer breaks off.
    fn call(&self, request: Request<Bytes>) -> impl Future<Output = Response<Bytes>>;
}

/// An axum app.
#[derive(Clone, Debug)]
pub struct Axum(Router);

impl Axum {
    pub(crate) fn new(router: &Router) -> Self {
        Self(router.clone())
    }
}

impl App for Axum {
    async fn call(&self, request: Request<Bytes>) -> Response<Bytes> {
        // A router is always ready.
        let answering = self.0.clone().call(request.map(Body::from)).await;
        let (head, body) = answering
            .unwrap_or_else(|never| match never {})
            .into_parts();
        let body = body.collect().await.expect("the answer came whole");
        Response::from_parts(head, body.to_bytes())
    }
}

#[cfg(feature = "actix")]
pub use actix::Actix;

#[cfg(feature = "actix")]
mod actix {
    //! actix-web is on version 0.2 of `http`: what is sent and what comes is converted.

    use actix_web::HttpResponse;
    use actix_web::body::{MessageBody, to_bytes};
    use actix_web::dev::{Service, ServiceResponse};
    use actix_web::test::TestRequest;
    use bytes::Bytes;
    use http::{Request, Response};

    use super::App;

    /// An app of actix-web.
    #[derive(Debug)]
    pub struct Actix<'a, S>(&'a S);

    impl<S> Clone for Actix<'_, S> {
        fn clone(&self) -> Self {
            Self(self.0)
        }
    }

    impl<'a, S> Actix<'a, S> {
        pub(crate) fn new(service: &'a S) -> Self {
            Self(service)
        }
    }

    impl<S, B, E> App for Actix<'_, S>
    where
        S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = E>,
        B: MessageBody,
        E: Into<actix_web::Error>,
    {
        async fn call(&self, request: Request<Bytes>) -> Response<Bytes> {
            let (head, body) = request.into_parts();
            let method = actix_web::http::Method::from_bytes(head.method.as_str().as_bytes());
            let mut asked = TestRequest::with_uri(&head.uri.to_string())
                .method(method.expect("both versions know the same methods"));
            for (name, value) in &head.headers {
                asked = asked.append_header((name.as_str(), value.as_bytes()));
            }
            match self.0.call(asked.set_payload(body).to_request()).await {
                Ok(answer) => convert(answer.into_parts().1).await,
                Err(error) => convert(error.into().error_response()).await,
            }
        }
    }

    async fn convert<B: MessageBody>(answer: HttpResponse<B>) -> Response<Bytes> {
        let mut response = Response::builder().status(answer.status().as_u16());
        for (name, value) in answer.headers() {
            response = response.header(name.as_str(), value.as_bytes());
        }
        let body = to_bytes(answer.into_body()).await;
        let body = body.map_err(Into::into).expect("the answer came whole");
        let response = response.body(body);
        response.expect("both versions take the same bytes")
    }
}
