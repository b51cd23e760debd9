-- Trigger on V2's texts: a text may change into privacy_erased_text() and into nothing else.
CREATE OR REPLACE FUNCTION public.privacy_refuse_rewording() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'What was sent is never reworded.' USING ERRCODE = 'insufficient_privilege';
END
$$;
