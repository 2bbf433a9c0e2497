//! Creates a handle with the built-in HTTP client, then sends a request with reqwest without TLS.

use oh_core::{OpenHumans, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::builder("id", "secret", "https://app.example").build()?;
    let _openhumans = OpenHumans::builder(settings).build()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await?;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await
    });
    // Panics if a TLS feature of reqwest is enabled without a provider.
    let response = reqwest::Client::new().get(url).send().await?;
    assert_eq!(response.status(), 204);
    println!("plain reqwest works beside oh-core");
    Ok(())
}
