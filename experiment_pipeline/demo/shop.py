"""The population of the simulated shop, and how a variant makes it behave: the parameters that the truth follows from.

Visitors come from countries, on devices, some of them regular customers. These segments differ in how often they shop,
how much they spend and how long pages take, so that metrics differ by segment, and an effect may, too.
"""

from dataclasses import dataclass
from datetime import timedelta
from itertools import product

FOLLOW_UP = timedelta(days=3)  # from the first exposure to the last event that it can cause, but for the return
RETURN = timedelta(days=7)  # after the first exposure comes the day on which visitors return, or do not
PRE_PERIOD = timedelta(days=14)  # before the first exposure, in which regular customers have ordered
FIRST_DAY = 3 ** (-1 / 3)  # of first orders come within a day: their delay is FOLLOW_UP * u^3, u uniform
CART_BEFORE_ORDER = 0.5  # of a first order's delay lies between cart and order
FAST = (2 / 3) ** (1 / 3)  # of first orders follow their cart within a day: FOLLOW_UP * u^3 / 2 is less than one
ABANDONED_AT_ADDRESS = 0.5  # of carts that become no order get as far as the address
REPEAT_ORDERS = 0.25  # per buyer, on average
ORDERS_BEFORE = 2.5  # of a regular customer in the pre-period, on average
ORDER_SPREAD = 0.5  # sigma of the logarithm
LOAD_SPREAD = 0.3
PAGES_SEEN = 0.95  # of visitors; the others block what counts pages
PRODUCT_PAGES = 0.5  # of all pages; they load slower than the others
LOAD_OF_PRODUCT_PAGES, LOAD_OF_OTHER_PAGES = 1.25, 0.75  # of the mean

DEVICES = {"desktop": 0.4, "mobile": 0.6}  # shares of all visitors
LOAD_ON = {"desktop": 0.85, "mobile": 1.1}  # of the mean load time
COUNTRIES = {"DE": 0.5, "FR": 0.35, None: 0.15}  # None: unknown
SHOPPING_IN = {"DE": 1.1, "FR": 0.9, None: 0.9}  # of the mean share of visitors with a cart
REGULARS = 0.15
REGULARS_SHOP = 6.0  # times as often as others
REGULARS_SPEND = 2.0  # times as much per order


@dataclass(frozen=True, slots=True)
class Segment:
    """Visitors who behave alike; `share` is theirs of all visitors."""

    country: str | None
    device: str
    is_regular: bool
    share: float

    @property
    def shopping(self) -> float:
        """How often its visitors have a cart, relative to all visitors."""
        regular = REGULARS_SHOP if self.is_regular else 1.0
        return SHOPPING_IN[self.country] * regular / (REGULARS * REGULARS_SHOP + 1 - REGULARS)

    @property
    def traits(self) -> dict[str, str]:
        """The traits that the SDK sends of them with an exposure."""
        return {"device": self.device} | ({} if self.country is None else {"country": self.country})


SEGMENTS = tuple(
    Segment(country, device, is_regular, in_country * on_device * (REGULARS if is_regular else 1 - REGULARS))
    for (country, in_country), (device, on_device), is_regular in product(
        COUNTRIES.items(), DEVICES.items(), (False, True)
    )
)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The expected behaviour of a visitor after the first exposure, over all segments unless a segment is named."""

    carts: float = 0.24  # share of visitors
    ordered_on_desktop: float = 2 / 3  # share of carts that become an order
    ordered_on_mobile: float = 0.375
    order_value: float = 30.0  # of visitors who are no regular customers
    pages: float = 7.0  # of visitors whose pages are counted; at least 1: the one that shows the flag
    load_ms: float = 800.0
    returning: float = 0.25  # share of visitors
    support_contacts: float = 0.15

    def carts_of(self, segment: Segment) -> float:
        """Return the share of visitors who view a cart."""
        return self.carts * segment.shopping

    def buyers_of(self, segment: Segment) -> float:
        """Return the share of visitors who order."""
        return self.carts_of(segment) * (
            self.ordered_on_mobile if segment.device == "mobile" else self.ordered_on_desktop
        )

    def order_value_of(self, segment: Segment) -> float:
        """Return the mean value of an order."""
        return self.order_value * (REGULARS_SPEND if segment.is_regular else 1.0)

    def load_ms_of(self, segment: Segment) -> float:
        """Return the mean load time of a page."""
        return self.load_ms * LOAD_ON[segment.device]
