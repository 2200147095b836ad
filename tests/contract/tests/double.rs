//! The expectations, held to the double. Each test has a region of its own.

use contract::{Kind, Region, expectations::*, for_each_expectation};

macro_rules! tests {
    ($($module:ident::$name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let region = Region::start(Kind::Double).await.unwrap().unwrap();
                $module::$name(&region).await.unwrap();
            }
        )*
    };
}

for_each_expectation!(tests);
