"""Takes the pictures of the console in README and docs, from the portfolio that `make demo` left."""

from pathlib import Path

from playwright.sync_api import sync_playwright

from fivefold.cli.demo.levels import console_tokens
from fivefold.cli.demo.sample import any_port, running
from tests.chromium import CHROMIUM

IMAGES = Path(__file__).parents[2] / "docs" / "images"
PICTURES = {
    "console-customer.png": ("ida", "/console/entities/customer/user_000006", 1000),
    "console-queue.png": ("ida", "/console/queue", 560),
    "console-portfolio.png": ("ida", "/console/portfolio?level=high", 640),
}
"""File, who looks, at which page, and how many pixels of it from the top."""
WIDTH = 1000


def main() -> None:
    """Start the service of the demo, sign in, and take each picture."""
    tokens, port = console_tokens(), any_port()
    if not tokens:
        raise SystemExit("there is no portfolio to be shown; `make demo` makes one")
    with running(port), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, (member, path, height) in PICTURES.items():
            look = {"viewport": {"width": WIDTH, "height": height}, "color_scheme": "light"}
            page = browser.new_context(base_url=f"http://127.0.0.1:{port}", **look).new_page()
            page.goto(path)
            page.fill("#token", tokens[member])
            page.click("button.main")
            page.wait_for_load_state()
            page.screenshot(path=IMAGES / name)
            print(IMAGES / name)  # noqa: T201 (a command's output)
        browser.close()


if __name__ == "__main__":
    main()
