//! The expectations, held to the double. Each test has a region of its own.

use contract::{Kind, Region, expectations::*, for_each_expectation};

macro_rules! tests {
    ($($module:ident::$name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let mut region = Region::start(Kind::Double).await.unwrap().unwrap();
                // Some expectations stop the server, and so need the region for themselves.
                #[allow(clippy::unnecessary_mut_passed, reason = "one macro serves all")]
                $module::$name(&mut region).await.unwrap();
            }
        )*
    };
}

for_each_expectation!(tests);
