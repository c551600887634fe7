"""Map each kind of product to its drawing function."""

from sample_shop.drawing import accessories, clothing, devices, home, leisure
from sample_shop.drawing.look import Drawing

DRAWINGS: dict[str, Drawing] = (
    clothing.DRAWINGS | accessories.DRAWINGS | home.DRAWINGS | devices.DRAWINGS | leisure.DRAWINGS
)
