"""No link in a built site is broken: files exist, and so do the places in them. Usage: links.py FOLDER"""
import html.parser
import pathlib
import sys
import urllib.parse


class Page(html.parser.HTMLParser):
    """What a page links to, with lines, and the places in it that can be linked to."""

    def __init__(self):
        super().__init__()
        self.links, self.places = [], set()

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value and tag != "base":
                # A reader follows a link; all else is loaded with the page.
                self.links.append((value, self.getpos()[0], tag != "a" and attributes))
            if name == "id" or (name == "name" and tag == "a"):
                self.places.add(value)


def main(folder):
    root = pathlib.Path(folder).resolve()
    pages = {}
    for path in sorted(root.rglob("*.html")):
        pages[path] = Page()
        pages[path].feed(path.read_text(encoding="utf-8", errors="replace"))
    broken = links = 0
    for path, page in pages.items():
        if path.name == "404.html":  # Its links begin at the server's root.
            continue
        for link, line, loaded in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                if loaded and parts.scheme in ("http", "https", "") and ("rel", "canonical") not in loaded:
                    broken += 1
                    print(f"{path.relative_to(root)}:{line}: {link} is loaded from the network")
                continue
            links += 1
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target = target / "index.html"
            place = urllib.parse.unquote(parts.fragment)
            # Doxygen's summaries name lists of private classes, which it does not print.
            known = place in ("", "top", "nested-classes") or target not in pages
            wrong = not target.exists() or not (known or place in pages[target].places)
            if wrong:
                broken += 1
                if broken <= 20:
                    print(f"{path.relative_to(root)}:{line}: {link} leads nowhere")
    print(f"{len(pages)} pages, {links} links, {broken} of them broken")
    return 1 if broken or len(pages) < 10 else 0


sys.exit(main(sys.argv[1]))
