//! A page that is not shown, or no more: its web view draws it in a process of its own, and where that ends (for want of memory,
//! or by a fault of a driver) the window would stay open and empty. The page is loaded anew.

use std::time::Duration;

use tauri::async_runtime::spawn;
use tauri::webview::PageLoadEvent;
use tauri::{Manager as _, Runtime, Url, WebviewWindow, WebviewWindowBuilder};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout};

/// A page lies in the program itself: this is for a PC that has no time at all.
const SHOWN_WITHIN: Duration = Duration::from_secs(30);
/// One that was shown for so long came up.
const CAME_UP: Duration = Duration::from_secs(60);
const MOST_IN_A_ROW: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
enum News {
    /// By the address that the web view has given to it.
    Shown(Url),
    Lost,
}

/// Builds the window, and keeps its page in it.
pub(crate) fn build<R: Runtime, M: tauri::Manager<R>>(
    builder: WebviewWindowBuilder<'_, R, M>,
) -> tauri::Result<()> {
    let (tell, news) = unbounded_channel();
    let shown = tell.clone();
    let window = builder
        .on_page_load(move |_, page| {
            if page.event() == PageLoadEvent::Finished {
                // Whoever listened has ended with the window.
                let _ = shown.send(News::Shown(page.url().clone()));
            }
        })
        .build()?;
    hear_of_its_end(&window, tell)?;
    spawn(async move {
        if keep(news, |page| load(&window, page)).await == Kept::Never {
            tracing::error!("the page is not shown: the window ends");
            window.app_handle().exit(1);
        }
    });
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Kept {
    UntilItsEnd,
    Never,
}

/// Loads the page anew whenever it is lost. One that does not come, or does not stay, ends it: an empty window says nothing, and
/// another one may come up.
async fn keep(mut news: UnboundedReceiver<News>, load: impl Fn(Url)) -> Kept {
    let mut in_a_row = 0;
    loop {
        let page = match timeout(SHOWN_WITHIN, news.recv()).await {
            Ok(Some(News::Shown(page))) => page,
            Ok(None) => return Kept::UntilItsEnd,
            // A web view that never showed one takes no other either.
            Ok(Some(News::Lost)) | Err(_) => return Kept::Never,
        };
        let since = Instant::now();
        loop {
            match news.recv().await {
                Some(News::Shown(_)) => {}
                Some(News::Lost) => break,
                None => return Kept::UntilItsEnd,
            }
        }
        in_a_row = if since.elapsed() >= CAME_UP { 1 } else { in_a_row + 1 };
        if in_a_row > MOST_IN_A_ROW {
            return Kept::Never;
        }
        tracing::warn!(in_a_row, "the page is loaded anew");
        load(page);
    }
}

#[cfg(target_os = "linux")]
fn hear_of_its_end<R: Runtime>(window: &WebviewWindow<R>, tell: UnboundedSender<News>) -> tauri::Result<()> {
    use webkit2gtk::WebViewExt as _;
    window.with_webview(move |view| {
        view.inner().connect_web_process_terminated(move |_, reason| {
            tracing::warn!(?reason, "the page's process ended");
            let _ = tell.send(News::Lost);
        });
    })
}

/// Other systems' web views do not tell it to Tauri.
#[cfg(not(target_os = "linux"))]
fn hear_of_its_end<R: Runtime>(_: &WebviewWindow<R>, _: UnboundedSender<News>) -> tauri::Result<()> {
    Ok(())
}

/// By its address: after its end a web view knows none.
fn load<R: Runtime>(window: &WebviewWindow<R>, page: Url) {
    if let Err(error) = window.navigate(page) {
        tracing::warn!(%error, "the page cannot be loaded anew");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn shown() -> News {
        News::Shown("tauri://localhost/index.html".parse().unwrap())
    }

    /// What came of it, and how often the page was loaded anew, when each of so many loadings is followed by this news.
    async fn kept(first: &[News], at_each: &[(Duration, News)], loadings: u32) -> (Kept, u32) {
        let (tell, news) = unbounded_channel();
        first.iter().for_each(|one| tell.send(one.clone()).unwrap());
        let teller = RefCell::new(Some(tell));
        let loads = Cell::new(0);
        let load = |_| {
            loads.set(loads.get() + 1);
            let tell = if loads.get() < loadings { teller.borrow().clone() } else { teller.take() };
            let (Some(tell), at_each) = (tell, at_each.to_vec()) else { return };
            tokio::spawn(async move {
                for (after, one) in at_each {
                    tokio::time::sleep(after).await;
                    let _ = tell.send(one);
                }
            });
        };
        let kept = keep(news, load).await;
        (kept, loads.get())
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_is_lost_is_loaded_anew_and_one_that_is_lost_now_and_then_for_ever() {
        let comes = [(Duration::from_secs(1), shown())];
        let for_an_hour = [(Duration::ZERO, shown()), (Duration::from_secs(3600), News::Lost)];

        assert_eq!(kept(&[shown(), News::Lost], &comes, 1).await, (Kept::UntilItsEnd, 1));
        assert_eq!(kept(&[shown(), News::Lost], &for_an_hour, 9).await, (Kept::UntilItsEnd, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_never_comes_or_never_stays_ends_the_window() {
        let for_a_second = [(Duration::ZERO, shown()), (Duration::from_secs(1), News::Lost)];

        assert_eq!(kept(&[], &[], 9).await, (Kept::Never, 0));
        assert_eq!(kept(&[News::Lost], &[], 9).await, (Kept::Never, 0));
        assert_eq!(kept(&[shown(), News::Lost], &[], 9).await, (Kept::Never, 1));
        assert_eq!(kept(&[shown(), News::Lost], &for_a_second, 9).await, (Kept::Never, 3));
    }
}
