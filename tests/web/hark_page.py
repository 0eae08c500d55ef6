"""The page as one who uses it sees it: what is there, by its role and name."""

from dataclasses import dataclass, field
from typing import Final

from playwright.sync_api import FilePayload, Locator, Page, Request, expect

ANSWER_MS: Final = 20_000
# How opaque each pixel of a canvas is, 0 to 255: read from a copy that is meant to be read.
OPACITIES: Final = """canvas => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((_, i) => i % 4 === 3);
}"""


@dataclass
class HarkPage:
    """A page that is open, and what went on behind it.

    Attributes:
        page: Playwright's page.
        complaints: what the browser's console said, and what was thrown.
        hosts: whom the browser asked.
        posted: where the page sent sounds to.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    posted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if not request.url.startswith(("blob:", "data:")):
            self.hosts.add(request.url.split("/")[2])
        if request.method == "POST":
            self.posted.append(request.url)

    def choose(self, *files: FilePayload) -> None:
        """Choose a file, as in the system's dialogue."""
        self.page.get_by_label("Choose a file").set_input_files(files)

    @property
    def verdict(self) -> Locator:
        return self.page.locator("#verdict")

    @property
    def model(self) -> Locator:
        return self.page.get_by_role("combobox", name="Model", exact=True)

    @property
    def version(self) -> Locator:
        return self.page.get_by_role("combobox", name="Version", exact=True)

    @property
    def slider(self) -> Locator:
        return self.page.get_by_role("slider", name="Position in the sound")

    @property
    def problem(self) -> Locator:
        return self.page.locator("#problem")

    @property
    def announcement(self) -> Locator:
        return self.page.get_by_role("status")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def expect_answer(self, verdict: str) -> None:
        """Wait for an answer."""
        expect(self.verdict).to_have_text(verdict, timeout=ANSWER_MS)
        expect(self.page.locator("#result")).not_to_have_attribute("aria-busy", "true")

    def expect_pictures(self) -> None:
        """Wait until the waveform and the spectrogram have been drawn."""
        for canvas in ("#waveform", "#spectrogram"):
            expect(self.page.locator(canvas)).to_be_visible()
            self.page.wait_for_function(
                f"selector => ({OPACITIES})(document.querySelector(selector)).some(o => o > 0)",
                arg=canvas,
            )

    def position(self) -> float:
        """Return where in the sound one is, in seconds."""
        return float(self.slider.get_attribute("aria-valuenow") or "nan")

    def inked(self, canvas: str) -> float:
        """Return the part of a canvas whose pixels have been drawn."""
        part: float = self.page.locator(canvas).evaluate(
            f"""canvas => {{
                const opacities = ({OPACITIES})(canvas);
                return opacities.filter(opacity => opacity > 0).length / opacities.length;
            }}"""
        )
        return part
