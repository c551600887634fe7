"""Result pages in Amazon's layout, made of cards."""

from __future__ import annotations

BASE = "https://market.example/s?k=watch&page=1"


def card(image: str, before: str = "", kind: str = "s-result-item s-asin") -> str:
    """One result card in Amazon's layout."""
    return f"""
    <div data-asin="B00" data-index="2" data-component-type="s-search-result" class="sg-col-4-of-24 {kind}">
     <div class="sg-col-inner">{before}
      <span data-component-type="s-product-image" class="rush-component">
       <a class="a-link-normal s-no-outline" href="/Some-Watch/dp/B00/ref=sr_1_1?keywords=watch">
        <div class="a-section aok-relative s-image-square-aspect">{image}</div></a></span>
      <h2><a href="/Some-Watch/dp/B00"><span class="a-text-normal">Some Watch</span></a></h2>
      <i class="a-icon a-icon-prime"></i><span class="a-price"><span class="a-offscreen">&#8377;1,299</span></span>
     </div></div>"""


def product(number: int | str) -> str:
    return f'<img class="s-image" src="/images/I/{number}.jpg" alt="Watch {number}">'


def page(*cards: str, title: str = "Amazon.in : watch") -> str:
    """A result page with the furniture around its cards."""
    return f"""<!doctype html><html lang="en-in"><head><meta charset="utf-8"><title>{title}</title></head><body>
    <!-- sp:feature:nav --><img src="/images/G/nav-sprite-global.png" alt=""><img src="/logo.png" alt="Amazon">
    <form action="/s" method="get"><input id="twotabsearchtextbox" name="k" value="watch"></form>
    <img height="1" width="1" src="//fls-eu.market.example/1/batch/1/OP/A" alt="">
    <div data-component-type="s-impression-counter" class="s-main-slot">{"".join(cards)}</div>
    <script>if (1 < 2) {{ document.write("<div data-component-type='s-search-result'>"); }}</script>
    <img src="/images/footer.jpg" alt="Back to top"></body></html>"""


CAPTCHA = """<!doctype html><!-- To discuss automated access to Amazon data please contact us. -->
<html><head><title dir="ltr">Amazon.in</title></head><body><h4>Enter the characters you see below</h4>
<form method="get" action="/errors/validateCaptcha"><img src="/captcha/Captcha_a.jpg">
<input id="captchacharacters" name="field-keywords"></form></body></html>"""

EMPTY = page("<span>No results for <b>watch</b></span>")
