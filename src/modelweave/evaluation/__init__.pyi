from .advice import Advice as Advice
from .advice import advise as advise
from .soups import Soup as Soup
from .soups import greedy_soup as greedy_soup
